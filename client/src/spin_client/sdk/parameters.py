"""Parameters of a notebook run, as papermill has them.

A cell tagged "parameters" holds defaults; a cell of assignments goes after it (or at the top when there is none), in place of one that
an earlier run left. Values become Python literals through `repr` of plain data, never pasted text.
"""

import json
import keyword
from collections.abc import Mapping, Sequence
from typing import Any

from spin_client.sdk.errors import SpinError
from spinapis.workspace.v1 import notebooks_pb2

TAG, INJECTED_TAG = "parameters", "injected-parameters"
CELL_ID = "injected-parameters"


def parse_parameter(text: str) -> tuple[str, Any]:
    """`name=value`: the value as JSON where it is some, else as text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SpinError("INVALID_ARGUMENT", f"the parameter {text!r} must have the form name=value")
    check_name(name)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def check_name(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise SpinError("INVALID_ARGUMENT", f"{name!r} cannot be a parameter: it is no Python variable name")


def with_parameters(cells: Sequence[notebooks_pb2.Cell], values: Mapping[str, Any], language: str = "python") -> list[notebooks_pb2.Cell]:
    """The cells to run; the notebook's own are not changed."""
    if not values:
        return list(cells)
    if language not in ("", "python"):
        raise SpinError("INVALID_ARGUMENT", f"parameters need a Python kernel, and this notebook's speaks {language}")
    kept = [cell for cell in cells if INJECTED_TAG not in tags(cell)]
    at = next((index + 1 for index, cell in enumerate(kept) if TAG in tags(cell)), 0)
    source = "# Parameters\n" + "\n".join(f"{name} = {_literal(name, value)}" for name, value in values.items())
    injected = notebooks_pb2.Cell(id=CELL_ID, cell_type="python", source=source, metadata_json=json.dumps({"tags": [INJECTED_TAG]}))
    return [*kept[:at], injected, *kept[at:]]


def tags(cell: notebooks_pb2.Cell) -> Sequence[str]:
    try:
        found = json.loads(cell.metadata_json or "{}").get("tags", [])
    except (ValueError, AttributeError):
        return ()
    return [str(tag) for tag in found] if isinstance(found, list) else ()


def _literal(name: str, value: object) -> str:
    check_name(name)
    if value is None or isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, float):
        # repr(inf) is no literal.
        return repr(value) if value == value and abs(value) != float("inf") else f'float("{value}")'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(name, item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{str(key)!r}: {_literal(name, item)}" for key, item in value.items()) + "}"
    raise SpinError("INVALID_ARGUMENT", f"the parameter {name!r} has a value of type {type(value).__name__}; plain data is possible")
