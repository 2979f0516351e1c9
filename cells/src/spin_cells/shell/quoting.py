"""How a value is written into a shell script: as the expansion of an environment variable, quoted for the place where it stands.

- The reader below knows quotes, comments, substitutions and here-documents. Where it is mistaken, a value may be split into words or
  stay unexpanded; it can never become part of the script, because all that is ever written is one of three fixed forms of `${spin_value_N}`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from spin_cells.templates import Piece, Template, Text

_HEREDOC = re.compile(r"<<(?!<)(?P<dash>-?)[ \t]*(?P<quote>['\"\\]?)(?P<word>[A-Za-z0-9_.-]+)['\"]?")


@dataclass
class Reader:
    """Follows a script, character by character. `quotes` is a stack: what opened, innermost last."""

    quotes: list[str] = field(default_factory=list)
    comment: bool = False
    heredocs: list[tuple[str, bool, bool]] = field(default_factory=list)
    body: tuple[str, bool, bool] | None = None
    line: str = ""
    previous: str = "\n"

    @property
    def unexpandable(self) -> bool:
        """In a here-document whose word is quoted."""
        return self.body is not None and self.body[1]

    def quoted(self, variable: str, shell: str) -> str:
        expansion = f"${variable}" if shell == "fish" else f"${{{variable}}}"
        quote = self.quotes[-1] if self.quotes else ""
        if self.body is not None or quote == '"':
            return expansion
        return f"'\"{expansion}\"'" if quote == "'" else f'"{expansion}"'

    def read(self, text: str) -> None:
        index = 0
        while index < len(text):
            index += self._step(text, index)

    def value(self) -> None:
        """A value stood here: the reader's place is now in the middle of a word."""
        self.previous, self.line = "v", self.line + "v"

    def _step(self, text: str, index: int) -> int:
        character = text[index]
        if character == "\n":
            return self._end_line()
        self.line += character
        taken = 1 if self.body is not None or self.comment else self._plain_step(text, index)
        self.previous = text[index + taken - 1] if index + taken <= len(text) else character
        return taken

    def _plain_step(self, text: str, index: int) -> int:
        character, quote = text[index], self.quotes[-1] if self.quotes else ""
        if quote == "'":
            self._close(character == "'")
        elif character == "\\":
            return 2 if index + 1 < len(text) and text[index + 1] != "\n" else 1
        elif quote == '"':
            return self._in_double(text, index)
        else:
            return self._bare(text, index, quote)
        return 1

    def _close(self, closes: bool) -> None:
        if closes:
            self.quotes.pop()

    def _in_double(self, text: str, index: int) -> int:
        if text.startswith("$(", index):
            self.quotes.append("(")
            return 2
        if text[index] == "`":
            self._toggle("`")
        else:
            self._close(text[index] == '"')
        return 1

    def _bare(self, text: str, index: int, quote: str) -> int:
        character = text[index]
        if character in "'\"":
            self.quotes.append(character)
        elif character == "`":
            self._toggle("`")
        elif character == "(":
            self.quotes.append("(")
        elif character == ")" and quote == "(":
            self.quotes.pop()
        elif character == "#" and (self.previous.isspace() or self.previous in ";(|&"):
            self.comment = True
        elif found := _HEREDOC.match(text, index):
            self.heredocs.append((found["word"], bool(found["quote"]), bool(found["dash"])))
            return len(found.group())
        return 1

    def _toggle(self, quote: str) -> None:
        if quote in self.quotes and self.quotes[-1] == quote:
            self.quotes.pop()
        else:
            self.quotes.append(quote)

    def _end_line(self) -> int:
        if self.body is not None:
            word, _, dash = self.body
            if (self.line.lstrip("\t") if dash else self.line) == word:
                self.body = None
        if self.body is None and self.heredocs and "'" not in self.quotes:
            self.body = self.heredocs.pop(0)
        self.comment, self.line, self.previous = False, "", "\n"
        return 1


@dataclass(frozen=True)
class Slot:
    """A place for a value and the form that stands there. Without a variable nothing is expanded: a comment, or a here-document as it is."""

    template: Template
    written: str = ""
    variable: str = ""
    in_comment: bool = False


def slots(found: Sequence[Piece], shell: str) -> Iterator[str | Slot]:
    """The script's texts and the places of its templates, in order."""
    reader = Reader()
    count = 0
    for piece in found:
        if isinstance(piece, Text):
            reader.read(piece.text)
            yield piece.text
        elif reader.comment or reader.unexpandable:
            yield Slot(piece, in_comment=reader.comment)
        else:
            count += 1
            variable = f"spin_value_{count}"
            yield Slot(piece, reader.quoted(variable, shell), variable)
            reader.value()
