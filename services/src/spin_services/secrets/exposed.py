"""The secrets whose values a cell reads, for its compiler.

Rules: what may not be used is left out like what does not exist; a name means the nearest connection of that name, whatever its kind; a cell whose
secret is named by a variable gets the exposable ones, up to one more than a program may hold, so that the compiler sees that there are too many;
an editor is told the names alone that a template may have.
"""

from collections.abc import Awaitable, Callable, Sequence

from spin_cells.exposure import MOST
from spin_cells.secret import KIND, OPERATION
from spin_services.secrets.domain import Connection, nearest
from spinapis.secrets.v1 import secrets_pb2 as pb


async def exposed(
    request: pb.ResolveConnectionsRequest, usable: Sequence[Connection], chain: Sequence[str], may_use: Callable[[Connection], Awaitable[bool]]
) -> list[Connection]:
    """Each once: those that were named, then the others by name."""
    found = {one.id: one for one in nearest(request.secrets, usable, chain) if one is not None and await may_use(one)}
    if request.every_secret:
        others = 0
        for one in nearest(sorted({one.name for one in usable if one.kind == KIND}), usable, chain):
            if others <= MOST and one is not None and one.kind == KIND and one.exposable and await may_use(one):
                found.setdefault(one.id, one)
                others += 1
    return list(found.values())


async def readable_names(usable: Sequence[Connection], chain: Sequence[str], may_use: Callable[[Connection], Awaitable[bool]]) -> list[str]:
    """Sorted. A name that means a nearer connection of another kind is not among them."""
    named = nearest(sorted({one.name for one in usable if one.kind == KIND and one.exposable}), usable, chain)
    return [one.name for one in named if one is not None and _is_readable(one) and await may_use(one)]


def _is_readable(one: Connection) -> bool:
    return one.kind == KIND and one.exposable and OPERATION in one.allowed_operations
