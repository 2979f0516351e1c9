"""How a value is written into a shell script: as the expansion of an environment variable, quoted for the place where it stands.

- The reader knows quotes, comments, substitutions, arithmetic and here-documents. All that is ever written is one of three fixed forms
  of `${spin_value_N}`, so a value is no text of the script.
- That is not enough where the shell evaluates what it expanded: `evaluation` says where. Values there must be numbers, which the kernel checks
  before the script starts. Where the reader cannot follow a script to its end, all of them must.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spin_cells.shell.reader import Reader
from spin_cells.templates import Piece, Template, Text


@dataclass(frozen=True)
class Slot:
    """A place for a value and the form that stands there. Without a variable nothing is expanded: a comment, or a here-document as it is."""

    template: Template
    written: str = ""
    variable: str = ""
    in_comment: bool = False
    number: bool = False


def slots(found: Sequence[Piece], shell: str) -> Iterator[str | Slot]:
    """The script's texts and the places of its templates, in order."""
    reader = Reader()
    parts: list[str | Slot] = []
    count = 0
    for piece in found:
        if isinstance(piece, Text):
            reader.read(piece.text)
            parts.append(piece.text)
        elif reader.comment or reader.unexpandable:
            parts.append(Slot(piece, in_comment=reader.comment))
        else:
            count += 1
            variable = f"spin_value_{count}"
            parts.append(Slot(piece, reader.quoted(variable, shell), variable))
            reader.value(count)
    reader.end()
    numbers = {f"spin_value_{number}" for number in reader.numbers}
    yield from (replace(part, number=True) if isinstance(part, Slot) and part.variable in numbers else part for part in parts)
