"""Short messages between the replicas of one service: in memory on SQLite, LISTEN/NOTIFY on PostgreSQL.

Rules: a message is a hint to look again, never the data itself (8 kB at most); publish after the commit; the empty payload (MISSED)
tells a subscriber that messages may have been lost (connection broken, queue full) and that it must read everything again.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, TypeAlias

import asyncpg
import structlog

from spin_services.database.engine import Database

MISSED = ""
QUEUE_SIZE = 10_000
RECONNECT_S = 0.5
Subscription: TypeAlias = AbstractAsyncContextManager[AsyncIterator[str]]

log = structlog.get_logger("spin.notify")


class Notifier(Protocol):
    async def publish(self, channel: str, payload: str) -> None: ...

    def subscribe(self, channel: str) -> Subscription: ...

    async def close(self) -> None: ...


class Listeners:
    """The local end of every channel."""

    def __init__(self) -> None:
        self._queues: defaultdict[str, set[asyncio.Queue[str]]] = defaultdict(set)

    def deliver(self, channel: str, payload: str) -> None:
        for queue in self._queues.get(channel, ()):
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                payload = MISSED
            queue.put_nowait(payload)

    def all_missed(self) -> None:
        for channel in list(self._queues):
            self.deliver(channel, MISSED)

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[AsyncIterator[str]]:
        queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_SIZE)
        self._queues[channel].add(queue)
        try:
            yield _drain(queue)
        finally:
            self._queues[channel].discard(queue)
            if not self._queues[channel]:
                del self._queues[channel]


async def _drain(queue: asyncio.Queue[str]) -> AsyncIterator[str]:
    while True:
        yield await queue.get()


class MemoryNotifier:
    """For SQLite, where one process serves all."""

    def __init__(self) -> None:
        self._listeners = Listeners()

    async def publish(self, channel: str, payload: str) -> None:
        self._listeners.deliver(channel, payload)

    def subscribe(self, channel: str) -> Subscription:
        return self._listeners.listening(channel)

    async def close(self) -> None:
        return None


class PostgresNotifier:
    """One connection per process listens; publishing takes one from the pool of the same connection."""

    def __init__(self, url: str, service: str) -> None:
        self._dsn = url.replace("postgresql+asyncpg", "postgresql", 1)
        self._prefix = f"spin_{service}_"
        self._listeners = Listeners()
        self._lock = asyncio.Lock()
        self._connection: asyncpg.Connection[Any] | None = None
        self._channels: set[str] = set()
        self._closed = False
        self._reconnecting: asyncio.Task[None] | None = None

    async def publish(self, channel: str, payload: str) -> None:
        async with self._lock:
            connection = await self._connected()
            await connection.execute("SELECT pg_notify($1, $2)", self._name(channel), payload)

    def subscribe(self, channel: str) -> Subscription:
        return self._subscription(channel)

    @asynccontextmanager
    async def _subscription(self, channel: str) -> AsyncIterator[AsyncIterator[str]]:
        async with self._listeners.listening(channel) as payloads:
            async with self._lock:
                self._channels.add(channel)
                connection = await self._connected()
                await connection.add_listener(self._name(channel), self._received)
            yield payloads

    def _name(self, channel: str) -> str:
        return self._prefix + re.sub(r"[^a-z0-9_]", "_", channel.lower())

    def _received(self, _connection: object, _pid: int, name: str, payload: object) -> None:
        for channel in self._channels:
            if self._name(channel) == name:
                self._listeners.deliver(channel, str(payload))

    async def _connected(self) -> "asyncpg.Connection[Any]":
        if self._connection is None or self._connection.is_closed():
            connection = await asyncpg.connect(self._dsn)
            for channel in self._channels:
                await connection.add_listener(self._name(channel), self._received)
            connection.add_termination_listener(self._lost)
            self._connection = connection
        return self._connection

    def _lost(self, _connection: object) -> None:
        if not self._closed:
            self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        log.warning("notifications_lost")
        while not self._closed:
            await asyncio.sleep(RECONNECT_S)
            with suppress(OSError, asyncpg.PostgresError):
                async with self._lock:
                    await self._connected()
                self._listeners.all_missed()
                return

    async def close(self) -> None:
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close()


def notifier_for(database: Database) -> Notifier:
    if database.is_sqlite:
        return MemoryNotifier()
    return PostgresNotifier(database.url, database.service)
