"""How a value is written into a shell script: as the expansion of an environment variable, quoted for the place where it stands.

- The reader knows quotes, comments, substitutions, arithmetic and here-documents. All that is ever written is one of three fixed forms
  of `${spin_value_N}`, so a value is no text of the script.
- That is not enough where the shell evaluates what it expanded: `evaluation` says where. Values there must be numbers, which the kernel checks
  before the script starts. Where the reader cannot follow a script to its end, all of them must. What other values must not hold, and in
  which scripts, `evaluation` says too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spin_cells.shell import evaluation
from spin_cells.shell.evaluation import Care
from spin_cells.shell.reader import Reader
from spin_cells.templates import Piece, Template, Text


@dataclass(frozen=True)
class Slot:
    """A place for a value and the form that stands there. Without a variable nothing is expanded: a comment, or a here-document as it is.

    `lost_at` is the line of what is never closed in a script that could not be followed.
    """

    template: Template
    written: str = ""
    variable: str = ""
    in_comment: bool = False
    care: Care = Care.NONE
    lost_at: int = 0


def slots(found: Sequence[Piece], shell: str) -> Iterator[str | Slot]:
    """The script's texts and the places of its templates, in order."""
    reader = Reader()
    parts: list[str | Slot] = []
    for piece in found:
        if isinstance(piece, Text):
            reader.read(piece.text)
            parts.append(piece.text)
        elif reader.comment or reader.unexpandable:
            parts.append(Slot(piece, in_comment=reader.comment))
        else:
            number = len(reader.care) + 1
            parts.append(Slot(piece, reader.quoted(f"spin_value_{number}", shell), f"spin_value_{number}"))
            reader.value(number)
    reader.end()
    least = Care.GUARDED if evaluation.anywhere("".join(part for part in parts if isinstance(part, str))) else Care.NONE
    cares = iter(reader.care.values())
    for part in parts:
        if isinstance(part, Slot) and part.variable:
            yield replace(part, care=max(next(cares), least), lost_at=reader.lost_at)
        else:
            yield part
