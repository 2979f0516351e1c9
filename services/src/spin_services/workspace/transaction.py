"""What the stores share: a transaction that is told to the log before it is committed.

`Before` runs when everything has been written and nothing is committed. When it raises, nothing has happened.
"""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from spin_services.rpc.errors import etag_mismatch
from spin_services.workspace.domain import etag

Before = Callable[[], Awaitable[object]]


async def nothing() -> None:
    return None


async def commit(session: AsyncSession, before: Before) -> None:
    """Sends the statements, so that the database's own rules have spoken, then the log's entries, then commits."""
    await session.flush()
    await before()
    await session.commit()


def check_etag(resource: str, given: str, revision: int) -> None:
    """Raises ETAG_MISMATCH, also when none is given: whoever changes something has read it."""
    if given != etag(revision):
        raise etag_mismatch(resource)
