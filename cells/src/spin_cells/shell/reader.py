"""Reads a shell script as far as it takes to know how a value stands in it, and whether the shell evaluates it there."""

import re
from dataclasses import dataclass, field, replace

from spin_cells.shell import evaluation

_HEREDOC = re.compile(r"<<(?!<)(?P<dash>-?)[ \t]*(?P<quote>['\"\\]?)(?P<word>[A-Za-z0-9_.-]+)['\"]?")
_OPENING = re.compile(r"\$\(\(|\$\(|\$\{|\$\[")
_CODE = frozenset({"script", "(", "`"})
_ARITHMETIC = frozenset({"((", "$[", "["})


@dataclass(eq=False)
class Frame:
    """Something that was opened. `text` is its own so far: of code, the current command; `whole` is never cut."""

    kind: str
    text: str = ""
    whole: str = ""
    depth: int = 0
    word: str = ""
    dash: bool = False
    # Values in the current part of [[ … ]].
    tested: list[int] = field(default_factory=list)


@dataclass
class Reader:
    """Follows a script, character by character. `frames` is a stack, innermost last."""

    frames: list[Frame] = field(default_factory=lambda: [Frame("script")])
    comment: bool = False
    heredocs: list[tuple[str, bool, bool]] = field(default_factory=list)
    line: str = ""
    previous: str = "\n"
    # Values that must be numbers, values and the variables that get them, and what the script evaluates.
    numbers: set[int] = field(default_factory=set)
    received: list[tuple[int, set[str]]] = field(default_factory=list)
    evaluated: list[str] = field(default_factory=list)

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
        bare = self.top.kind in ("((", "$[", "[") or self._within_quotes()
        return expansion if bare else f'"{expansion}"'

    def value(self, number: int) -> None:
        """A value stands here: the reader's place is then in the middle of a word."""
        if self._evaluates(number):
            self.numbers.add(number)
        self._keep(evaluation.VALUE)
        self.previous, self.line = "v", self.line + "v"

    def end(self) -> None:
        """The script is over. What was received by a variable that is evaluated somewhere must be a number as well."""
        while len(self.frames) > 1 and self.top.kind in ("[", "<<", "<<'"):
            self._pop()
        lost = len(self.frames) > 1
        self._cut(self.frames[0])
        names = evaluation.names(" ".join(self.evaluated))
        self.numbers |= {number for number, receivers in self.received if lost or receivers & names}

    def read(self, text: str) -> None:
        index = 0
        while index < len(text):
            index += self._step(text, index)

    def _evaluates(self, number: int) -> bool:
        code = next(frame for frame in reversed(self.frames) if frame.kind in _CODE)
        self.received.append((number, evaluation.receiving(code.text)))
        inner = self.frames[self.frames.index(code) + 1 :]
        if any(frame.kind in _ARITHMETIC or (frame.kind == "${" and evaluation.in_braces(frame.text)) for frame in inner):
            return True
        if self._testing(code):
            code.tested.append(number)
            return False
        outer = self.frames[: self.frames.index(code)]
        return evaluation.in_command(code.text, any(frame.kind in _ARITHMETIC or self._testing(frame) for frame in outer))

    @staticmethod
    def _testing(frame: Frame) -> bool:
        return frame.kind in _CODE and evaluation.head(frame.text) == "[["

    def _within_quotes(self) -> bool:
        kinds = [frame.kind for frame in self.frames if frame.kind != "${"]
        return kinds[-1] in ('"', "<<")

    def _keep(self, text: str) -> None:
        """Adds to what is open, and, where that is a quote, to the command around it."""
        for frame in reversed(self.frames):
            frame.text, frame.whole = frame.text + text, frame.whole + text
            if frame.kind not in ("'", '"', "$'"):
                return
            text = re.sub(r"\s", evaluation.SPACE, text)

    def _push(self, kind: str, **more: object) -> None:
        if kind not in ("'", '"', "$'"):
            self._keep(evaluation.INNER)
        self.frames.append(replace(Frame(kind), **more))  # type: ignore[arg-type]

    def _pop(self) -> None:
        frame = self.frames.pop()
        if frame.kind in _ARITHMETIC:
            self.evaluated.append(frame.whole)
        elif frame.kind == "${":
            self.evaluated.append(evaluation.evaluated_in_braces(frame.whole))
            # Where braces stand in arithmetic, their variable is an operand; a length is a number whatever the value.
            if not frame.whole.startswith("#"):
                self._keep(f" {frame.whole} ")
        elif frame.kind in _CODE:
            self._cut(frame)

    def _cut(self, frame: Frame) -> None:
        """A command of a code frame, or a part of [[ … ]], is over."""
        if self._testing(frame):
            if evaluation.in_test(frame.text):
                self.numbers.update(frame.tested)
                self.evaluated.append(frame.text)
        else:
            self.evaluated.append(evaluation.evaluated_by(frame.text))
        frame.text, frame.tested = "", []

    def _step(self, text: str, index: int) -> int:
        character = text[index]
        if character == "\n":
            return self._end_line()
        self.line += character
        before = self.previous
        taken = 1 if self.comment else self._plain_step(text, index, before)
        self.previous = text[index + taken - 1] if index + taken <= len(text) else character
        return taken

    def _plain_step(self, text: str, index: int, before: str) -> int:
        kind, character = self.top.kind, text[index]
        if kind in ("'", "<<'"):
            return self._until(character, "'" if kind == "'" else "")
        if character == "\\":
            taken = 2 if index + 1 < len(text) and text[index + 1] != "\n" else 1
            self._keep(text[index : index + taken])
            return taken
        if kind == "$'":
            return self._until(character, "'")
        if opening := _OPENING.match(text, index):
            self._push(opening.group().removeprefix("$") if "(" in opening.group() else opening.group())
            return len(opening.group())
        if character == "`":
            return self._backquote()
        if kind in ('"', "<<"):
            return self._until(character, '"' if kind == '"' else "")
        if kind in _ARITHMETIC:
            return self._arithmetic(text, index)
        return self._braces(character) if kind == "${" else self._code(text, index, before)

    def _until(self, character: str, closing: str) -> int:
        if character == closing:
            self._pop()
        self._keep(character)
        return 1

    def _backquote(self) -> int:
        opened = next((place for place, frame in enumerate(self.frames) if frame.kind == "`"), 0)
        if opened and self.top.kind == "`":
            self._pop()
        else:
            self._push("`")
        return 1

    def _arithmetic(self, text: str, index: int) -> int:
        frame, character = self.top, text[index]
        opens, closes = ("(", ")") if frame.kind == "((" else ("[", "]")
        self._keep(character)
        if character == opens:
            frame.depth += 1
        elif character == closes and frame.depth:
            frame.depth -= 1
        elif text.startswith("))" if frame.kind == "((" else "]", index):
            self._pop()
            return 2 if frame.kind == "((" else 1
        elif character == ";" and frame.kind == "[":
            self._pop()
        return 1

    def _braces(self, character: str) -> int:
        if character == "}":
            self._pop()
        elif character == '"' or (character == "'" and not self._within_quotes()):
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
            self._keep(character)
            self._push(character)
        elif character == "#" and (before.isspace() or before in ";(|&"):
            self.comment = True
        elif found := _HEREDOC.match(text, index):
            self.heredocs.append((found["word"], bool(found["quote"]), bool(found["dash"])))
            return len(found.group())
        elif self._testing(frame):
            return self._test(text, index)
        elif text.startswith("((", index):
            self._push("((")
            return 2
        elif character == "(":
            self._push("(")
        elif character == ")":
            self._close(frame)
        elif character in ";|" or (character == "&" and before not in "<>"):
            self._cut(frame)
        elif character == "[" and re.search(r"(?:^|\s)[A-Za-z_]\w*\Z", frame.text):
            self._push("[")
        else:
            self._keep(character)
        return 1

    def _test(self, text: str, index: int) -> int:
        frame = self.top
        if text.startswith(("&&", "||"), index):
            self._cut(frame)
            frame.text = "[[ "
            return 2
        if text.startswith("]]", index):
            self._cut(frame)
            return 2
        self._keep(text[index])
        return 1

    def _close(self, frame: Frame) -> None:
        """A group ends, or the pattern of a `case`."""
        in_case = len(re.findall(r"\bcase\b", frame.whole)) > len(re.findall(r"\besac\b", frame.whole))
        if frame.kind == "(" and not in_case:
            self._pop()
        else:
            self._cut(frame)

    def _end_line(self) -> int:
        body = next((place for place, frame in enumerate(self.frames) if frame.kind in ("<<", "<<'")), 0)
        if body and (self.line.lstrip("\t") if self.frames[body].dash else self.line) == self.frames[body].word:
            while len(self.frames) > body:
                self._pop()
        elif self.top.kind == "[":
            self._pop()
        if self.top.kind in _CODE and self.previous != "\\":
            if not self._testing(self.top):
                self._cut(self.top)
            self.top.whole += "\n"
        else:
            self._keep(" ")
        if self.heredocs and self.top.kind in (*_CODE, '"', "${") and not any(frame.kind in ("<<", "<<'") for frame in self.frames):
            word, literal, dash = self.heredocs.pop(0)
            self._push("<<'" if literal else "<<", word=word, dash=dash)
        self.comment, self.line, self.previous = False, "", "\n"
        return 1
