"""Code in the kernel's own language goes to the kernel as it was written, to the last byte."""

from collections.abc import Sequence
from dataclasses import replace

from spin_cells import connections, exposure, templates
from spin_cells.api import Cell, Compiled, ConnectionInfo, Context, Problem, Use
from spin_cells.secret import KIND

CHOOSE = "choose the secret as a connection, or use a Python cell"
MENDS = {"secret": CHOOSE, "secret_var": CHOOSE, "runtime_env": "use a Python cell"}


def refer(cell: Cell) -> Sequence[str]:
    return tuple(cell.fields.get("connections", ()))


def check(cell: Cell, context: Context) -> Sequence[Problem]:
    return [*secret_problems(cell, context), *connections.problems(refer(cell), context, "connections"), *_text(cell)]


def secret_problems(cell: Cell, context: Context) -> list[Problem]:
    """A secret among the connections is for reading its value, so it must be one that code may read."""
    found = [connections.find(reference, context, "connections") for reference in refer(cell)]
    named = [item for item in found if isinstance(item, ConnectionInfo) and item.kind == KIND]
    return [Problem(message, field="connections") for secret in named if (message := exposure.unreadable(secret))]


def _text(cell: Cell) -> list[Problem]:
    """`{{name}}` is not among them: other languages have it as well."""
    text = "Code cells run as they are written, so templates are text in them"
    found = [place for place in templates.places(cell.source) if place.kind in MENDS]
    return [replace(place.problem(f"{text}: {MENDS[place.kind]}"), warning=True) for place in found]


def build(cell: Cell, context: Context) -> Compiled:
    return Compiled(cell.source, connection_uses(cell, context))


def connection_uses(cell: Cell, context: Context) -> tuple[Use, ...]:
    """Everything that the named connections allow: code chooses its parameters as it runs."""
    found = {connections.find(reference, context, "connections") for reference in refer(cell)}
    named = sorted((item for item in found if isinstance(item, ConnectionInfo)), key=lambda item: item.id)
    return tuple(Use(connection.id, tuple(sorted(connection.allowed_operations))) for connection in named)
