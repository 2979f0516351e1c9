"""Grows the trees: one transaction appends to any number of logs.

- A log's row is locked first, by the same UPDATE that reads its size, on both engines. So several replicas never fork a tree, and nothing else
  in the transaction can change a log that it has not locked.
- The right edge of a tree is remembered after a commit, and believed only if its size is still the log's.
- Lock order: logs by workspace id; everything else of a workspace (receipts, runs, alarms) only under its log's lock.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from spin_services.audit.domain import SALT, Draft, Leaf, first_new, make_leaf, next_time, pseudonym
from spin_services.audit.tables import ENTRIES, LOGS, PEOPLE, SUBJECTS, TILES
from spin_services.audit.tiles import Edge, TileKey, edge_tiles
from spin_services.keys import Kek

KEYS_PER_QUERY = 500
PSEUDONYM_KEY = 32


@dataclass(slots=True)
class Head:
    """A log as it stands inside a transaction."""

    log_id: int
    workspace_id: str
    size: int
    last_time_ms: int
    pseudonym_key: bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """Every draft's index, and those that were new."""

    indexes: list[int]
    new: list[tuple[int, Draft]]


def key_name(workspace_id: str) -> bytes:
    """What a wrapped pseudonym key is bound to."""
    return b"spin/audit/pseudonyms/v1\0" + workspace_id.encode()


def _head_columns() -> tuple[Any, ...]:
    return LOGS.c.id, LOGS.c.size, LOGS.c.last_time_ms, LOGS.c.pseudonym_key


class LogTransaction:
    def __init__(self, connection: AsyncConnection, kek: Kek, edges: dict[int, Edge]) -> None:
        self.connection = connection
        self._kek = kek
        self._edges = edges
        self.heads: dict[str, Head] = {}
        self.grown: dict[int, Edge] = {}

    async def lock(self, workspace_id: str) -> Head:
        """The workspace's log, locked until the transaction ends; made when it is not there."""
        if workspace_id in self.heads:
            return self.heads[workspace_id]
        statement = update(LOGS).where(LOGS.c.workspace_id == workspace_id).values(size=LOGS.c.size).returning(*_head_columns())
        row = (await self.connection.execute(statement)).one_or_none()
        if row is None:
            await self._create(workspace_id)
            row = (await self.connection.execute(statement)).one()
        head = Head(row[0], workspace_id, row[1], row[2], self._kek.unwrap(row[3], key_name(workspace_id)))
        self.heads[workspace_id] = head
        return head

    async def _create(self, workspace_id: str) -> None:
        wrapped = self._kek.wrap(os.urandom(PSEUDONYM_KEY), key_name(workspace_id))
        statement = self._insert_unless_there(LOGS)
        await self.connection.execute(statement, {"workspace_id": workspace_id, "size": 0, "last_time_ms": 0, "pseudonym_key": wrapped})

    def _insert_unless_there(self, table: Any) -> Any:
        dialect = postgresql if self.connection.dialect.name == "postgresql" else sqlite
        return dialect.insert(table).on_conflict_do_nothing()

    async def append(self, workspace_id: str, drafts: Sequence[Draft], now_ms: int) -> Appended:
        """Add what is not there yet, in order."""
        head = await self.lock(workspace_id)
        known = await self._known(head, [draft.key for draft in drafts])
        new, indexes = first_new(drafts, known, head.size)
        placed = list(enumerate(new, head.size))
        if new:
            await self._write(head, placed, next_time(head.last_time_ms, now_ms))
        return Appended(indexes, placed)

    async def _known(self, head: Head, keys: Sequence[str]) -> dict[str, int]:
        known: dict[str, int] = {}
        for start in range(0, len(keys), KEYS_PER_QUERY):
            chunk = keys[start : start + KEYS_PER_QUERY]
            query = select(ENTRIES.c.idempotency_key, ENTRIES.c.entry_index).where(
                ENTRIES.c.log_id == head.log_id, ENTRIES.c.idempotency_key.in_(chunk)
            )
            known.update((await self.connection.execute(query)).tuples().all())
        return known

    async def _write(self, head: Head, placed: Sequence[tuple[int, Draft]], time_ms: int) -> None:
        names = {user_id: pseudonym(head.pseudonym_key, user_id) for user_id in {draft.user_id for _, draft in placed}}
        salts = os.urandom(SALT * len(placed))
        leaves = []
        rows = []
        for place, (index, draft) in enumerate(placed):
            actor = draft.pseudonym or names[draft.user_id]
            leaf = make_leaf(draft, time_ms, actor, salts[place * SALT : (place + 1) * SALT])
            leaves.append(leaf)
            rows.append(_entry_row(head.log_id, index, draft, time_ms, actor, leaf))
        await self.connection.execute(insert(ENTRIES), rows)
        await self._write_subjects(head, placed)
        await self._write_people(head, names)
        await self._grow(head, leaves)
        head.last_time_ms = time_ms
        await self.connection.execute(update(LOGS).where(LOGS.c.id == head.log_id).values(size=head.size, last_time_ms=time_ms))

    async def _write_subjects(self, head: Head, placed: Sequence[tuple[int, Draft]]) -> None:
        rows = [{"log_id": head.log_id, "subject": subject, "entry_index": index} for index, draft in placed for subject in set(draft.subjects)]
        if rows:
            await self.connection.execute(insert(SUBJECTS), rows)

    async def _write_people(self, head: Head, names: dict[str, str]) -> None:
        rows = [{"log_id": head.log_id, "pseudonym": name, "user_id": user_id} for user_id, name in names.items() if user_id]
        if rows:
            await self.connection.execute(self._insert_unless_there(PEOPLE), rows)

    async def _grow(self, head: Head, leaves: Sequence[Leaf]) -> None:
        edge = self.grown.get(head.log_id) or self._edges.pop(head.log_id, None)
        if edge is None or edge.size != head.size:
            edge = Edge(head.size, await read_tiles(self.connection, head.log_id, edge_tiles(head.size)))
        changed = edge.extend(leaf.hash for leaf in leaves)
        head.size = edge.size
        self.grown[head.log_id] = edge
        rows = [{"log_id": head.log_id, "level": level, "tile_index": index, "hashes": hashes} for (level, index), hashes in changed.items()]
        dialect = postgresql if self.connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(TILES)
        await self.connection.execute(
            statement.on_conflict_do_update(index_elements=["log_id", "level", "tile_index"], set_={"hashes": statement.excluded.hashes}), rows
        )


def _entry_row(log_id: int, index: int, draft: Draft, time_ms: int, actor: str, leaf: Leaf) -> dict[str, Any]:
    return {
        "log_id": log_id,
        "entry_index": index,
        "idempotency_key": draft.key,
        "type": draft.type,
        "time_ms": time_ms,
        "pseudonym": actor,
        "leaf": leaf.data,
        "salt": leaf.salt,
        "body": draft.body,
        "receipt": draft.receipt or None,
    }


async def read_tiles(connection: AsyncConnection, log_id: int, keys: Iterable[TileKey]) -> dict[TileKey, bytes]:
    by_level: dict[int, list[int]] = {}
    for level, index in keys:
        by_level.setdefault(level, []).append(index)
    tiles: dict[TileKey, bytes] = {}
    for level, indexes in by_level.items():
        query = select(TILES.c.tile_index, TILES.c.hashes).where(TILES.c.log_id == log_id, TILES.c.level == level, TILES.c.tile_index.in_(indexes))
        for index, hashes in (await connection.execute(query)).tuples():
            tiles[level, index] = hashes
    return tiles


class LogStore:
    """Opens transactions on the logs; `grown` hears of the workspaces that a commit made longer."""

    def __init__(self, engine: AsyncEngine, kek: Kek, grown: Callable[[dict[str, int]], None]) -> None:
        self._engine = engine
        self._kek = kek
        self._grown = grown
        self._edges: dict[int, Edge] = {}
        # SQLite has one writer: waiting here is fair and costs nothing, waiting in SQLite is polling.
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[LogTransaction]:
        async with self._turn:
            async with self._engine.begin() as connection:
                transaction = LogTransaction(connection, self._kek, self._edges)
                yield transaction
            self._edges.update(transaction.grown)
        changed = {head.workspace_id: head.size for head in transaction.heads.values() if head.log_id in transaction.grown}
        if changed:
            self._grown(changed)
