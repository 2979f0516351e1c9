"""Reads a shell script as far as it takes to know how a value stands in it, and whether the shell evaluates it there.

Each step takes what it takes whatever came before, so that reading takes as long as the script is, and no longer.
"""

import re
from collections import deque
from dataclasses import dataclass, field

from spin_cells.shell import evaluation
from spin_cells.shell.command import HIDDEN, INNER, VALUE, Command
from spin_cells.shell.evaluation import Care
from spin_cells.shell.frames import ARITHMETIC, BODIES, QUOTES, Frame, inside, keeping

_HEREDOC = re.compile(r"<<(?!<)(?P<dash>-?)[ \t]*(?P<word>(?:[^\s;&|<>()'\"\\]|\\.|'[^'\n]*'|\"[^\"\n]*\")+)")
_OPENING = re.compile(r"\$\(\(|\$\(|\$\{|\$\[")
_HEADING = re.compile(r"\([ \t]*\)")
# What means nothing but itself, by where it stands: read at once.
_PLAIN = {
    "code": re.compile(r"[\w./,:@%+-]+"),
    "'": re.compile(r"[^'\n]+"),
    '"': re.compile(r"[^\"\\$`\n]+"),
    "$'": re.compile(r"[^'\\\n]+"),
    "<<": re.compile(r"[^\\$`\n]+"),
    "<<'": re.compile(r"[^\n]+"),
    "${": re.compile(r"[\w ./,@%+-]+"),
    "arithmetic": re.compile(r"[\w .,+*/%<>=!?:-]+"),
}


@dataclass
class Reader:
    """Follows a script. `frames` is a stack, innermost last; `bodies` the places of here-documents in it."""

    frames: list[Frame] = field(default_factory=lambda: [Frame("script")])
    comment: bool = False
    heredocs: deque[tuple[str, bool, bool]] = field(default_factory=deque)
    bodies: list[int] = field(default_factory=list)
    line: list[str] = field(default_factory=list)
    number: int = 1
    previous: str = "\n"
    continued: bool = False
    # What is asked of each value, values and the variables that get them, and what the script evaluates.
    care: dict[int, Care] = field(default_factory=dict)
    received: list[tuple[int, set[str]]] = field(default_factory=list)
    evaluated: list[str] = field(default_factory=list)
    # The line of what is never closed.
    lost_at: int = 0

    @property
    def top(self) -> Frame:
        return self.frames[-1]

    @property
    def unexpandable(self) -> bool:
        """In a here-document whose word is quoted."""
        return self.top.kind == "<<'"

    def quoted(self, variable: str, shell: str) -> str:
        expansion = f"${variable}" if shell == "fish" else f"${{{variable}}}"
        if self.top.kind in ("'", "$'"):
            opening = self.top.kind
            return f'\'"{expansion}"{opening}'
        return expansion if self.top.kind in ARITHMETIC or self.top.quoted else f'"{expansion}"'

    def value(self, number: int) -> None:
        """A value stands here: the reader's place is then in the middle of a word."""
        self.care[number] = self._care(number)
        self._keep(VALUE, quoted=True)
        self.previous = "v"
        self.line.append(VALUE)

    def end(self) -> None:
        """The script is over. What was received by a variable that is evaluated somewhere must be a number as well."""
        self.continued = False
        self._end_line()
        if len(self.frames) > 1:
            self.lost_at = self.frames[1].line
        names = evaluation.names(" ".join(self.evaluated))
        for number, receivers in self.received:
            if self.lost_at or not receivers.isdisjoint(names):
                self.care[number] = Care.NUMBER

    def read(self, text: str) -> None:
        index = start = 0
        while index < len(text):
            if text[index] == "\n":
                self.line.append(text[start:index])
                self._end_line()
                start = index = index + 1
            else:
                index += self._step(text, index)
        self.line.append(text[start:])

    def _care(self, number: int) -> Care:
        code = self.top.code
        self.received.append((number, {code.array} if code.array else code.command.receiving()))
        if self.top.evaluates():
            return Care.NUMBER
        if code.testing:
            code.command.tested.append(number)
            return Care.NONE
        return Care.NONE if code.array else evaluation.in_command(code.command, code.substituted)

    def _keep(self, text: str, quoted: bool = False) -> None:
        """Adds to what is open, where that is a quote to what is around it."""
        frame = keeping(self.frames)
        if frame.is_code:
            add = frame.command.grow if quoted or frame is not self.top else None
            hides = self.top.kind in ("'", "$'")
            add(text.replace("$", HIDDEN) if hides else text, True) if add else frame.command.add(text)
        elif frame.kind not in BODIES:
            frame.text.append(text)
            if frame.kind == "${":
                frame.pass_name(text)

    def _push(self, kind: str, **more: object) -> None:
        if kind not in QUOTES:
            self._keep(INNER, quoted=True)
        frame = inside(self.top, kind, self.number)
        for name, value in more.items():
            setattr(frame, name, value)
        self.frames.append(frame)

    def _pop(self) -> None:
        frame = self.frames.pop()
        text = "".join(frame.text)
        if frame.kind in ARITHMETIC:
            self.evaluated.append(text)
        elif frame.kind == "${":
            self.evaluated.append(evaluation.evaluated_in_braces(text))
            # The variable in braces may be an operand of what is around it; a length is a number whatever the value.
            if not text.startswith("#"):
                (self.evaluated if frame.evaluated else frame.code.command.operands).append(text)
        elif frame.is_code:
            self._cut(frame)
        if frame.leads:
            self._cut(self.top)

    def _cut(self, frame: Frame) -> None:
        """A command of a code frame, or a part of [[ … ]], is over."""
        command = frame.command
        command.end_word()
        if frame.testing:
            if evaluation.compares(command):
                self.care.update(dict.fromkeys(command.tested, Care.NUMBER))
                self.evaluated.append(command.text())
        else:
            self.evaluated.append(evaluation.evaluated_by(command))
        if command.name in evaluation.READING:
            command.receivers |= evaluation.names(command.text())
        frame.command = Command(command.cases)

    def _step(self, text: str, index: int) -> int:
        if self.comment:
            end = text.find("\n", index)
            return (end if end >= 0 else len(text)) - index
        before, self.previous, self.continued = self.previous, "", False
        taken = self._plain_step(text, index, before)
        self.previous = self.previous or text[index + taken - 1]
        return taken

    def _plain_step(self, text: str, index: int, before: str) -> int:
        kind, character = self.top.kind, text[index]
        place = "code" if self.top.is_code else "arithmetic" if kind in ARITHMETIC else kind
        if plain := _PLAIN[place].match(text, index):
            self._keep(plain.group())
            return len(plain.group())
        if kind == "'":
            return self._until(character, "'")
        if character == "\\":
            return self._escape(text[index : index + 2])
        if kind == "$'":
            return self._until(character, "'")
        if opening := _OPENING.match(text, index):
            self._push(opening.group())
            return len(opening.group())
        if character == "`":
            return self._backquote()
        if kind in ('"', "<<"):
            return self._until(character, '"' if kind == '"' else "")
        if place == "arithmetic":
            return self._arithmetic(text, index)
        return self._braces(character) if kind == "${" else self._code(text, index, before)

    def _escape(self, pair: str) -> int:
        if pair[1:] in ("", "\n"):
            self.continued = True
            return 1
        self._keep(pair[1].replace("$", HIDDEN), quoted=True)
        # What is escaped begins no comment and follows no redirection.
        self.previous = "v"
        return 2

    def _until(self, character: str, closing: str) -> int:
        if character == closing:
            self._pop()
        else:
            self._keep(character)
        return 1

    def _backquote(self) -> int:
        if self.top.kind == "`":
            self._pop()
        else:
            self._push("`")
        return 1

    def _arithmetic(self, text: str, index: int) -> int:
        frame, character = self.top, text[index]
        opens, closes, end = "[", "]", "]"
        if frame.kind.endswith("(("):
            opens, closes, end = "(", ")", "))"
        if character == opens:
            frame.depth += 1
        elif character == closes and frame.depth:
            frame.depth -= 1
        elif text.startswith(end, index):
            self._pop()
            return len(end)
        elif character == ";" and frame.kind == "[":
            self._pop()
            return 0
        self._keep(character)
        return 1

    def _braces(self, character: str) -> int:
        if character == "}":
            self._pop()
        elif character == '"' or (character == "'" and not self.top.quoted):
            self._push(character)
        else:
            self._keep(character)
        return 1

    def _code(self, text: str, index: int, before: str) -> int:
        frame, character = self.top, text[index]
        if text.startswith("$'", index):
            self._push("$'")
            return 2
        if character in "'\"":
            self._push(character)
        elif character == "#" and (before.isspace() or before in ";(|&"):
            self.comment = True
        elif text.startswith("<<<", index):
            self._keep("<")
            return 3
        elif found := _HEREDOC.match(text, index):
            word = found["word"]
            self.heredocs.append((re.sub(r"['\"\\]", "", word), any(mark in word for mark in "'\"\\"), bool(found["dash"])))
            return len(found.group())
        elif frame.testing:
            return self._test(text, index, before)
        elif character in "()":
            return self._parenthesis(text, index, before)
        elif character in ";|&" and before not in ("<", ">"):
            self._cut(frame)
        elif character == "[" and (frame.command.named if frame.command.in_word else frame.array):
            self._push("[")
        else:
            self._keep(character)
        return 1

    def _parenthesis(self, text: str, index: int, before: str) -> int:
        frame, command = self.top, self.top.command
        if text[index] == ")":
            self._close(frame)
        elif text.startswith("((", index):
            self._push("((", leads=True)
            return 2
        elif before in ("<", ">"):
            self._push("<(")
        elif command.filling:
            self._push("=(", array=command.filling)
        else:
            self._push("(", leads=not command.in_word or bool(_HEADING.match(text, index)))
        return 1

    def _test(self, text: str, index: int, before: str) -> int:
        frame = self.top
        if text.startswith(("&&", "||"), index):
            self._cut(frame)
            frame.command.add("[[")
            frame.command.end_word()
            return 2
        if text.startswith("]]", index) and before.isspace():
            self._cut(frame)
            return 2
        self._keep(text[index])
        return 1

    def _close(self, frame: Frame) -> None:
        """A group ends, or the pattern of a `case`."""
        frame.command.end_word()
        if frame.kind in ("(", "$(", "<(", "=(") and not frame.command.cases:
            self._pop()
        else:
            self._cut(frame)

    def _end_line(self) -> None:
        self.number += 1
        if self.continued:
            self.continued, self.previous = False, " "
            return
        if self.bodies and self._ends_body("".join(self.line)):
            while len(self.frames) > self.bodies[-1]:
                self._pop()
            self.bodies.pop()
        elif self.top.kind == "[":
            self._pop()
        if not self.top.is_code:
            self._keep(" ")
        elif self.top.testing or self.top.array:
            self.top.command.end_word()
        else:
            self._cut(self.top)
        if self.heredocs and not self.bodies and (self.top.is_code or self.top.kind in ('"', "${")):
            word, literal, dash = self.heredocs.popleft()
            self.bodies.append(len(self.frames))
            self._push("<<'" if literal else "<<", word=word, dash=dash, line=self.number - 1)
        self.comment, self.line, self.previous = False, [], "\n"

    def _ends_body(self, line: str) -> bool:
        body = self.frames[self.bodies[-1]]
        return (line.lstrip("\t") if body.dash else line) == body.word
