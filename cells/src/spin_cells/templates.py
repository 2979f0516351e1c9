"""Templates in text: `{{name}}`, `{{runtime_env:NAME}}`, and the two for secrets, `{{secret:NAME}}` and `{{secret_var:variable}}`.

- A template stands for a value, never for text of the program: whoever reads a source with this module gets pieces, not a string.
- What only looks like one is text: `{{.Names}}`, `{{ a b }}`, `{{x:y}}`. A backslash before the braces makes text of any: `\\{{name}}`.
- Here is what a template says; which secrets there are, and which may be read, is `exposure`'s to know.
"""

import keyword
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, cast

from spin_cells.api import Problem

Kind = Literal["variable", "runtime_env", "secret", "secret_var"]

_TEMPLATE = re.compile(
    r"(?P<escape>\\)?\{\{[ \t]*"
    r"(?:(?P<kind>runtime_env|secret_var|secret)[ \t]*:[ \t]*(?P<argument>[^{}\n]*?)|(?P<name>[^\W\d]\w*))"
    r"[ \t]*\}\}"
)
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True)
class Template:
    """`start` and `end` are offsets in the text that it was found in."""

    kind: Kind
    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Text:
    """Text between templates. `text` is what it means, which is shorter than what stands there where a template is escaped."""

    text: str
    start: int
    end: int


Piece = Text | Template


@dataclass(frozen=True)
class Place:
    """A template that a cell's program reads; `at` is a problem without a message, in its place."""

    kind: Kind
    name: str
    at: Problem

    def problem(self, message: str) -> Problem:
        return replace(self.at, message=message)


def pieces(text: str) -> list[Piece]:
    """The text, cut at its templates."""
    return [*_pieces(text)]


def find(text: str) -> list[Template]:
    """The templates of a text in their order; escaped ones are not among them."""
    return [piece for piece in _pieces(text) if isinstance(piece, Template)]


def problems(text: str, field: str = "") -> list[Problem]:
    """What is wrong with a text's templates; positions are given for the source alone (an empty `field`)."""
    return [at(text, found.start, found.end, message, field) for found in find(text) if (message := fault(found.kind, found.name))]


def fault(kind: Kind, name: str) -> str:
    """Why a template cannot stand for a value; empty when it can."""
    if kind == "secret":
        return "" if name else "Name the secret: {{secret:NAME}}"
    if kind == "secret_var" and not name.isidentifier():
        return "Name the variable that holds the secret's name: {{secret_var:variable}}"
    if kind in ("variable", "secret_var"):
        return f"{name} is a word of Python and not a variable" if keyword.iskeyword(name) else ""
    if not _ENVIRONMENT_NAME.match(name):
        return f"{name} is not the name of an environment variable" if name else "Name the environment variable: {{runtime_env:NAME}}"
    return "Variables that start with SPIN_ belong to the runtime itself and cannot be read" if name.upper().startswith("SPIN_") else ""


def environment_names(texts: Iterable[str]) -> list[str]:
    """The runtime's environment variables that texts name, each once, sorted."""
    return sorted({found.name for text in texts for found in find(text) if found.kind == "runtime_env"})


def places(text: str, field: str = "") -> list[Place]:
    return [place(text, found, field) for found in find(text)]


def place(text: str, template: Template, field: str = "") -> Place:
    return Place(template.kind, template.name, at(text, template.start, template.end, "", field))


def unquoted(argument: str) -> str:
    """A name may stand in quotes: Python reads no other with spaces in it."""
    return argument[1:-1] if len(argument) > 1 and argument[0] in "'\"" and argument[-1] == argument[0] else argument


def at(text: str, start: int, end: int, message: str, field: str = "", warning: bool = False) -> Problem:
    """A problem between two offsets of a text."""
    if field:
        return Problem(message, field=field, warning=warning)
    line, column = position(text, start)
    end_line, end_column = position(text, end)
    return Problem(message, line, column, end_line, end_column, warning=warning)


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of an offset."""
    starts = _line_starts(text)
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


@lru_cache(maxsize=4)
def _line_starts(text: str) -> tuple[int, ...]:
    """Kept, as a text with many templates is asked for the place of each."""
    return (0, *(match.end() for match in re.finditer("\n", text)))


def has_template(found: Sequence[Piece]) -> bool:
    return any(isinstance(piece, Template) for piece in found)


def _pieces(text: str) -> Iterator[Piece]:
    done = 0
    for match in _TEMPLATE.finditer(text):
        if match.start() > done:
            yield Text(text[done : match.start()], done, match.start())
        if match["escape"]:
            yield Text(match.group()[1:], match.start(), match.end())
        else:
            argument = match["name"] or match["argument"] or ""
            name = unquoted(argument) if match["kind"] == "secret" else argument
            yield Template(cast(Kind, match["kind"] or "variable"), name, match.start(), match.end())
        done = match.end()
    if done < len(text):
        yield Text(text[done:], done, len(text))
