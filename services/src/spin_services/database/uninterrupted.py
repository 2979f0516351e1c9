"""Database calls that are waited for, also by who is cancelled meanwhile.

On SQLite a call runs in the connection's thread, which nothing can stop. Where only the waiting ends, the driver, SQLAlchemy and the thread no
longer agree on whether a transaction is open: a BEGIN may still take the file's one write lock for a connection that was given up, or a
connection be closed with a cursor left in it, which SQLite keeps, with its lock. Then nobody writes again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

T = TypeVar("T")


async def to_the_end(work: Awaitable[T]) -> T:
    """The result; a cancellation, or several, is raised once the work is over."""
    going = asyncio.ensure_future(work)
    cancelled = None
    while not going.done():
        try:
            await asyncio.wait({going})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return going.result()
    if not going.cancelled():
        going.exception()
    raise cancelled


def _to_the_end(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await to_the_end(method(*args, **kwargs))

    return call


_METHODS = {name: _to_the_end(method) for name, method in vars(AsyncSession).items() if iscoroutinefunction(method) and not name.startswith("_")}
# A session whose every call ends before whoever made it goes on, or is cancelled.
UninterruptedSession: type[AsyncSession] = type("UninterruptedSession", (AsyncSession,), _METHODS)
