"""Reads the logs: entries by place, by subject and by filter, and the hashes that proofs are made of. Takes no lock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, select

from spin_services.audit.domain import EntryFilter, StoredEntry, pseudonym
from spin_services.audit.log_store import key_name, read_tiles
from spin_services.audit.tables import ENTRIES, LOGS, PEOPLE, SUBJECTS
from spin_services.audit.tiles import TileKey
from spin_services.audit.transactions import Transactions
from spin_services.keys import Kek


@dataclass(frozen=True, slots=True)
class LogHandle:
    """A log as it was when it was looked up: what is below `size` never changes."""

    log_id: int
    workspace_id: str
    size: int
    wrapped_key: bytes


class LogReader:
    def __init__(self, transactions: Transactions, kek: Kek) -> None:
        self._transactions = transactions
        self._kek = kek

    async def log(self, workspace_id: str) -> LogHandle | None:
        """None while the workspace has no entry."""
        query = select(LOGS.c.id, LOGS.c.size, LOGS.c.pseudonym_key).where(LOGS.c.workspace_id == workspace_id)
        row = await self._transactions.read(lambda connection: connection.execute(query).one_or_none())
        return LogHandle(row[0], workspace_id, row[1], row[2]) if row is not None else None

    async def logs(self, workspace_ids: Sequence[str]) -> list[LogHandle]:
        """Those that there are, in the order asked for."""
        if not workspace_ids:
            return []
        query = select(LOGS.c.id, LOGS.c.workspace_id, LOGS.c.size, LOGS.c.pseudonym_key).where(LOGS.c.workspace_id.in_(workspace_ids))
        rows = await self._transactions.read(lambda connection: connection.execute(query).all())
        return sorted((LogHandle(*row) for row in rows), key=lambda log: workspace_ids.index(log.workspace_id))

    async def tiles(self, log: LogHandle, keys: Iterable[TileKey]) -> dict[TileKey, bytes]:
        return await self._transactions.read(lambda connection: read_tiles(connection, log.log_id, keys))

    async def entries_from(self, log: LogHandle, start: int, limit: int) -> list[StoredEntry]:
        """Oldest first, below the handle's size."""
        query = _entries(log).where(ENTRIES.c.entry_index >= start, ENTRIES.c.entry_index < log.size)
        return await self._read(query.order_by(ENTRIES.c.entry_index).limit(limit))

    async def entries_about(self, log: LogHandle, subject: str, start: int, limit: int) -> list[StoredEntry]:
        """Entries with a subject, oldest first, below the handle's size."""
        query = _about(_entries(log), subject).where(SUBJECTS.c.entry_index >= start, SUBJECTS.c.entry_index < log.size)
        return await self._read(query.order_by(SUBJECTS.c.entry_index).limit(limit))

    async def runtimes_about(self, log: LogHandle, subject: str) -> list[str]:
        """The runtimes that a subject's entries speak of."""
        about, other = SUBJECTS.alias(), SUBJECTS
        same = and_(other.c.log_id == about.c.log_id, other.c.entry_index == about.c.entry_index, other.c.subject.startswith("runtime:"))
        query = select(other.c.subject).distinct().select_from(about.join(other, same))
        query = query.where(about.c.log_id == log.log_id, about.c.subject == subject, about.c.entry_index < log.size)
        rows = await self._transactions.read(lambda connection: connection.execute(query).scalars().all())
        return sorted(row.removeprefix("runtime:") for row in rows)

    async def entries_at(self, log: LogHandle, indexes: Sequence[int]) -> list[StoredEntry]:
        return await self._read(_entries(log).where(ENTRIES.c.entry_index.in_(indexes)).order_by(ENTRIES.c.entry_index))

    async def index_of_key(self, log: LogHandle, key: str) -> int | None:
        query = select(ENTRIES.c.entry_index).where(ENTRIES.c.log_id == log.log_id, ENTRIES.c.idempotency_key == key)
        return await self._transactions.read(lambda connection: connection.execute(query).scalar_one_or_none())

    async def find(self, log: LogHandle, wanted: EntryFilter, before: int, limit: int) -> list[StoredEntry]:
        """Newest first, below `before`."""
        query = _entries(log).where(ENTRIES.c.entry_index < min(before, log.size))
        if wanted.subject:
            query = _about(query, wanted.subject)
        if wanted.session_id:
            query = query.where(_in_session(wanted.session_id))
        if wanted.type.endswith("."):
            query = query.where(ENTRIES.c.type.startswith(wanted.type, autoescape=True))
        elif wanted.type:
            query = query.where(ENTRIES.c.type == wanted.type)
        if wanted.user_id:
            key = self._kek.unwrap(log.wrapped_key, key_name(log.workspace_id))
            query = query.where(ENTRIES.c.pseudonym == pseudonym(key, wanted.user_id))
        for word in wanted.words:
            query = query.where(ENTRIES.c.body.icontains(word, autoescape=True))
        if wanted.from_ms:
            query = query.where(ENTRIES.c.entry_index >= await self._first_at(log, wanted.from_ms))
        if wanted.until_ms:
            query = query.where(ENTRIES.c.entry_index < await self._first_at(log, wanted.until_ms))
        return await self._read(query.order_by(ENTRIES.c.entry_index.desc()).limit(limit))

    async def _first_at(self, log: LogHandle, time_ms: int) -> int:
        """The first index whose time is not before a time: times only rise, so the log itself is the index."""

        def search(connection: Connection) -> int:
            low, high = 0, log.size
            while low < high:
                middle = (low + high) // 2
                query = select(ENTRIES.c.time_ms).where(ENTRIES.c.log_id == log.log_id, ENTRIES.c.entry_index == middle)
                if connection.execute(query).scalar_one() < time_ms:
                    low = middle + 1
                else:
                    high = middle
            return low

        return await self._transactions.read(search)

    async def _read(self, query: "Select[Any]") -> list[StoredEntry]:
        rows = await self._transactions.read(lambda connection: connection.execute(query).all())
        return [StoredEntry(row[0], row[1], row[2], row[3], row[4] or b"", row[5] or "", row[6] or "", row[7] or b"") for row in rows]


def _entries(log: LogHandle) -> "Select[Any]":
    person = and_(PEOPLE.c.log_id == ENTRIES.c.log_id, PEOPLE.c.pseudonym == ENTRIES.c.pseudonym)
    columns = (ENTRIES.c.entry_index, ENTRIES.c.type, ENTRIES.c.time_ms, ENTRIES.c.leaf, ENTRIES.c.salt, ENTRIES.c.body)
    query = select(*columns, PEOPLE.c.user_id, ENTRIES.c.receipt).select_from(ENTRIES.outerjoin(PEOPLE, person))
    return query.where(ENTRIES.c.log_id == log.log_id)


def _in_session(session_id: str) -> ColumnElement[bool]:
    named = SUBJECTS.alias()
    same = and_(named.c.log_id == ENTRIES.c.log_id, named.c.entry_index == ENTRIES.c.entry_index)
    return exists().where(same, named.c.subject == f"session:{session_id}")


def _about(query: "Select[Any]", subject: str) -> "Select[Any]":
    same = and_(SUBJECTS.c.log_id == ENTRIES.c.log_id, SUBJECTS.c.entry_index == ENTRIES.c.entry_index)
    return query.join_from(ENTRIES, SUBJECTS, same).where(SUBJECTS.c.subject == subject)
