"""The connections that a cell names, found among those that its author may use."""

from collections.abc import Iterable, Set

from spin_cells.api import ConnectionInfo, Context, Problem


def find(reference: str, context: Context, field: str, kind: str = "") -> ConnectionInfo | Problem:
    """The connection of that id or name, or what is wrong with the reference."""
    connection = context.connections.get(reference)
    if connection is None:
        return Problem(f"There is no connection {reference} that you may use in this workspace", field=field)
    if kind and connection.kind != kind:
        return Problem(f"The connection {connection.name} is of the kind {connection.kind}; this cell takes one of the kind {kind}", field=field)
    return connection


def usable(kind: str, allowed: Set[str]) -> Set[str]:
    """What a connection may be used for: who may use it for anything may try it, which does what its configuration says and shows no content."""
    return allowed | {f"{kind}.test"} if allowed else allowed


def problems(references: Iterable[str], context: Context, field: str, kind: str = "") -> list[Problem]:
    found = (find(reference, context, field, kind) for reference in references)
    return [item for item in found if isinstance(item, Problem)]


def needs_python(context: Context, what: str) -> list[Problem]:
    """Types whose program is Python say so where the notebook's kernel speaks something else."""
    if context.kernel_language == "python":
        return []
    return [Problem(f"{what} need a Python kernel, and this notebook's kernel speaks {context.kernel_language}")]
