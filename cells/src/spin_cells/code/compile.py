"""Code in the kernel's own language goes to the kernel as it was written, to the last byte."""

from collections.abc import Sequence

from spin_cells import connections
from spin_cells.api import Cell, Compiled, ConnectionInfo, Context, Problem, Use


def refer(cell: Cell) -> Sequence[str]:
    return tuple(cell.fields.get("connections", ()))


def check(cell: Cell, context: Context) -> Sequence[Problem]:
    return connections.problems(refer(cell), context, "connections")


def build(cell: Cell, context: Context) -> Compiled:
    return Compiled(cell.source, connection_uses(cell, context))


def connection_uses(cell: Cell, context: Context) -> tuple[Use, ...]:
    """Everything that the named connections allow: code chooses its parameters as it runs."""
    found = {connections.find(reference, context, "connections") for reference in refer(cell)}
    named = sorted((item for item in found if isinstance(item, ConnectionInfo)), key=lambda item: item.id)
    return tuple(Use(connection.id, tuple(sorted(connection.allowed_operations))) for connection in named)
