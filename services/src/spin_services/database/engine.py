"""Engine and sessions of one service.

Rules: SQLite runs in WAL with synchronous=FULL, so a commit that was answered survives a power cut; a writing transaction begins
IMMEDIATE, because a read that turns into a write halfway would fail instead of waiting. PostgreSQL gets one schema per service.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from spin_services.database.uninterrupted import UninterruptedSession, to_the_end
from spin_services.platform import Platform

T = TypeVar("T")

BUSY_TIMEOUT_MS = 10_000
POOL_SIZE = 10
READERS = 2


class Database:
    """`url` is sqlite+aiosqlite:///… or postgresql://…; nothing is connected before the first session."""

    def __init__(self, url: str, service: str) -> None:
        self.service = service
        self.is_sqlite = url.startswith("sqlite")
        self.url = url if self.is_sqlite else _asyncpg_url(url)
        self.engine = _sqlite_engine(self.url) if self.is_sqlite else _postgresql_engine(self.url, service)
        # Of this process; other processes wait in SQLite itself. See `_alone`.
        self._one_writer = asyncio.Lock()
        sessions = UninterruptedSession if self.is_sqlite else AsyncSession
        self._write = async_sessionmaker(self.engine, class_=sessions, expire_on_commit=False)
        self._reader = self.engine.execution_options(spin_reading=True)
        self._read = async_sessionmaker(self._reader, class_=sessions, expire_on_commit=False, autoflush=False)

    @classmethod
    def of(cls, platform: Platform, service: str) -> "Database":
        """The installation's database for a service; makes the folder of SQLite files."""
        if platform.database_url:
            return cls(platform.database_url, service)
        folder = platform.data_dir / "db"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(sqlite_url(folder / f"{service}.sqlite"), service)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """For writing; the caller commits, and what is not committed is rolled back."""
        async with self._alone():
            session = self._write()
            try:
                yield session
            finally:
                await to_the_end(session.close())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """For reading alone."""
        session = self._read()
        try:
            yield session
        finally:
            await to_the_end(session.close())

    async def in_one_go(self, work: Callable[[Connection], T]) -> T:
        """A whole short transaction for a hot path; committed when it returns. On SQLite: one change of threads, not one a statement."""
        if self.is_sqlite:
            async with self._alone():
                # Whoever writes next must not wait for the thread inside SQLite.
                return await to_the_end(asyncio.get_running_loop().run_in_executor(self._writer[1], _within, self._writer[0], work))
        async with self.engine.begin() as connection:
            return await connection.run_sync(work)

    async def read_in_one_go(self, work: Callable[[Connection], T]) -> T:
        """The same for reading alone, which waits for no writer. What `work` returns holds no rows of an open cursor."""
        if self.is_sqlite:
            return await asyncio.get_running_loop().run_in_executor(self._readers[1], _within, self._readers[0], work)
        async with self._reader.connect() as connection:
            return await connection.run_sync(work)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One writer at a time on SQLite.

        A writer that waits inside SQLite holds its connection's mutex. Python may free a cursor of that connection on the event loop's thread
        meanwhile; that waits for the mutex without letting go of the interpreter, and then the writer that all wait for cannot go on either.
        """
        if not self.is_sqlite:
            yield
            return
        async with self._one_writer:
            yield

    @cached_property
    def _writer(self) -> tuple[Engine, ThreadPoolExecutor]:
        return threaded_sqlite_engine(self.url), ThreadPoolExecutor(1, f"{self.service}-write")

    @cached_property
    def _readers(self) -> tuple[Engine, ThreadPoolExecutor]:
        engine = threaded_sqlite_engine(self.url).execution_options(spin_reading=True)
        return engine, ThreadPoolExecutor(READERS, f"{self.service}-read")

    async def close(self) -> None:
        for name in {"_writer", "_readers"} & self.__dict__.keys():
            engine, threads = self.__dict__[name]
            threads.shutdown()
            engine.dispose()
        await self.engine.dispose()


def sqlite_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path.absolute()}"


def _asyncpg_url(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(scheme="postgresql+asyncpg"))


def _postgresql_engine(url: str, service: str) -> AsyncEngine:
    settings = {"search_path": service, "application_name": f"spin-{service}"}
    return create_async_engine(url, pool_size=POOL_SIZE, max_overflow=POOL_SIZE, pool_pre_ping=True, connect_args={"server_settings": settings})


def _sqlite_engine(url: str) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=POOL_SIZE, max_overflow=POOL_SIZE)
    _configure_sqlite_engine(engine.sync_engine)
    return engine


def _within(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


def threaded_sqlite_engine(url: str) -> Engine:
    """The same file with the same guarantees, for a service that runs whole transactions in a thread instead of hopping there for each statement."""
    engine = create_engine(url.replace("sqlite+aiosqlite", "sqlite", 1), pool_size=POOL_SIZE, max_overflow=POOL_SIZE)
    _configure_sqlite_engine(engine)
    return engine


def _configure_sqlite_engine(engine: Engine) -> None:
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)


def _configure_sqlite(connection: Any, _record: object) -> None:
    # The driver's own BEGIN comes too late (before the first write, not the first read), so it is turned off.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("spin_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
