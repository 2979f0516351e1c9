"""The body of a request from a cell: its fields `json` or `body`, or else its source.

The source is JSON with templates in it where it reads as that, and text otherwise. A template outside quotes is the value itself, one inside
quotes is its text: the JSON is built from values, so no value can add a member to it.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

from spin_cells import generate, templates
from spin_cells.api import Cell, Problem
from spin_cells.templates import Piece, Template, pieces


@dataclass(frozen=True)
class Body:
    kind: Literal["none", "json", "text"]
    # JSON values and text; strings in both may hold templates.
    value: Any = None


def of(cell: Cell) -> Body:
    if "json" in cell.fields:
        return Body("json", cell.fields["json"])
    if "body" in cell.fields:
        return Body("text", cell.fields["body"])
    if not cell.source.strip():
        return Body("none")
    value = _json(cell.source)
    return Body("text", cell.source) if isinstance(value, json.JSONDecodeError) else Body("json", value)


def problems(cell: Cell) -> list[Problem]:
    given = [name for name in ("json", "body") if name in cell.fields] + (["the source"] if cell.source.strip() else [])
    if len(given) > 1:
        return [Problem(f"One body is enough: both {given[0]} and {given[1]} are set", field=given[0])]
    if given == ["the source"] and cell.source.lstrip()[:1] in "{[" and isinstance(error := _json(cell.source), json.JSONDecodeError):
        line, column = templates.position(cell.source, min(error.pos, len(cell.source)))
        return [Problem(f"Not JSON ({error.msg}); it is sent as text", line, column, line, column, warning=True)]
    return []


def _json(source: str) -> Any:
    """The source as JSON whose strings hold templates, or the error. Bare templates become strings that are one template each."""
    try:
        return json.loads("".join(_written(source)), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return error
    except ValueError:
        # Python reads no number of more than 4300 digits.
        return json.JSONDecodeError("a number with too many digits", source, 0)


def _written(source: str) -> list[str]:
    quoted = False
    parts: list[str] = []
    for piece in pieces(source):
        if isinstance(piece, Template):
            parts.append(source[piece.start : piece.end] if quoted else f'"{source[piece.start : piece.end]}"')
        else:
            raw = source[piece.start : piece.end]
            # An escaped template keeps its backslash through JSON, where a single one would be an escape of JSON's.
            parts.append(raw if raw == piece.text else f"\\{raw}")
            quoted ^= _quotes(piece) % 2 == 1
    return parts


def _quotes(piece: Piece) -> int:
    """Double quotes that open or close a string: those that no backslash escapes."""
    if isinstance(piece, Template):
        return 0
    text, count, index = piece.text, 0, 0
    while index < len(text):
        count += text[index] == '"'
        index += 2 if text[index] == "\\" else 1
    return count


def _refuse_constant(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


def texts(body: Body) -> list[str]:
    return generate.strings(body.value)
