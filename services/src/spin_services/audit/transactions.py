"""Runs whole transactions: a function of a connection, done in one go.

- On SQLite in a thread of its own: through an asynchronous driver every statement would hop there and back several times, and each hop waits
  for the interpreter's lock. One thread writes, because SQLite has one writer; waiting for it is fair and costs nothing.
- On PostgreSQL on the event loop, over asyncpg.
- What a function returns holds no rows of an open cursor: it is used after the transaction has ended.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine

from spin_services.database import Database
from spin_services.database.engine import threaded_sqlite_engine

T = TypeVar("T")
READERS = 4


class Transactions(Protocol):
    async def write(self, work: Callable[[Connection], T]) -> T:
        """Committed when it returns; rolled back when `work` raises."""

    async def read(self, work: Callable[[Connection], T]) -> T: ...

    async def close(self) -> None: ...


class InThreads:
    def __init__(self, url: str) -> None:
        self._engine = threaded_sqlite_engine(url)
        self._reading = self._engine.execution_options(spin_reading=True)
        self._writer = ThreadPoolExecutor(1, "audit-write")
        self._readers = ThreadPoolExecutor(READERS, "audit-read")

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, _within, self._engine, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, _within, self._reading, work)

    async def close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()


def _within(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


class OnLoop:
    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._reading = database.engine.execution_options(spin_reading=True)

    async def write(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        async with self._reading.connect() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """The engine is the database's own."""


def transactions_for(database: Database) -> Transactions:
    return InThreads(database.url) if database.is_sqlite else OnLoop(database)
