"""Connections of the kind `secret`: one value, and the operation that gives it to code."""

from spin_cells.api import ConnectionKind
from spin_cells.definition import form
from spin_cells.secret import KIND as NAME
from spin_cells.secret import OPERATION

KIND = ConnectionKind(
    name=NAME,
    config_schema=form({}),
    credential_schema=form(
        {"value": {"type": "string", "minLength": 1, "maxLength": 65_536, "description": "The secret itself: a text of at most 65,536 characters."}},
        required=["value"],
    ),
    operations=frozenset({OPERATION}),
)
