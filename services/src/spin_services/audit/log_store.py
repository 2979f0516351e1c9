"""Grows the trees: one transaction appends to any number of logs.

- A log's row is locked first, by the same UPDATE that reads its size, on both engines. So several replicas never fork a tree, and nothing else
  in the transaction can change a log that it has not locked.
- The right edge of a tree is remembered after a commit, and believed only if its size is still the log's.
- Lock order: logs by workspace id; everything else of a workspace (receipts, runs, alarms) only under its log's lock.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, select

from spin_services.audit.domain import SALT, Draft, first_new, make_leaf, next_time, pseudonym
from spin_services.audit.prepared import Insert, Statement
from spin_services.audit.tables import ENTRIES, LOGS, PEOPLE, SUBJECTS, TILES
from spin_services.audit.tiles import Edge, TileKey, edge_tiles
from spin_services.audit.transactions import Transactions
from spin_services.keys import Kek

T = TypeVar("T")

# log, pseudonym, user
Person = tuple[int, str, str]
PEOPLE_KEPT = 10_000
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


_LOCK = Statement("UPDATE logs SET size = size WHERE workspace_id = :1 RETURNING id, size, last_time_ms, pseudonym_key")
_GROWN = Statement("UPDATE logs SET size = :1, last_time_ms = :2 WHERE id = :3")
_KNOWN = Statement(
    "SELECT idempotency_key, entry_index FROM entries WHERE log_id = :1 AND idempotency_key IN (SELECT value FROM json_each(:2))",
    "SELECT idempotency_key, entry_index FROM entries WHERE log_id = :1"
    " AND idempotency_key IN (SELECT jsonb_array_elements_text(CAST(CAST(:2 AS text) AS jsonb)))",
)
_INSERT_LOG = Insert(LOGS, ("workspace_id", "size", "last_time_ms", "pseudonym_key"), lambda new: new.on_conflict_do_nothing())
_INSERT_ENTRIES = Insert(ENTRIES, ("log_id", "entry_index", "idempotency_key", "type", "time_ms", "pseudonym", "leaf", "salt", "body", "receipt"))
_INSERT_SUBJECTS = Insert(SUBJECTS, ("log_id", "subject", "entry_index"))
_INSERT_PEOPLE = Insert(PEOPLE, ("log_id", "pseudonym", "user_id"), lambda new: new.on_conflict_do_nothing())
_PUT_TILES = Insert(
    TILES,
    ("log_id", "level", "tile_index", "hashes"),
    lambda new: new.on_conflict_do_update(index_elements=["log_id", "level", "tile_index"], set_={"hashes": new.excluded.hashes}),
)


class LogTransaction:
    def __init__(self, connection: Connection, kek: Kek, edges: dict[int, Edge], people: set[Person]) -> None:
        self.connection = connection
        self._kek = kek
        self._edges = edges
        self._people = people
        self.met: set[Person] = set()
        self.heads: dict[str, Head] = {}
        self.grown: dict[int, Edge] = {}

    def lock(self, workspace_id: str) -> Head:
        """The workspace's log, locked until the transaction ends; made when it is not there."""
        if workspace_id in self.heads:
            return self.heads[workspace_id]
        row = _LOCK(self.connection, workspace_id).one_or_none()
        if row is None:
            wrapped = self._kek.wrap(os.urandom(PSEUDONYM_KEY), key_name(workspace_id))
            _INSERT_LOG(self.connection, [(workspace_id, 0, 0, wrapped)])
            row = _LOCK(self.connection, workspace_id).one()
        head = Head(row[0], workspace_id, row[1], row[2], self._kek.unwrap(row[3], key_name(workspace_id)))
        self.heads[workspace_id] = head
        return head

    def append(self, workspace_id: str, drafts: Sequence[Draft], now_ms: int) -> Appended:
        """Add what is not there yet, in order."""
        head = self.lock(workspace_id)
        known = self._known(head, [draft.key for draft in drafts])
        new, indexes = first_new(drafts, known, head.size)
        placed = list(enumerate(new, head.size))
        if new:
            self._write(head, placed, next_time(head.last_time_ms, now_ms))
        return Appended(indexes, placed)

    def _known(self, head: Head, keys: Sequence[str]) -> dict[str, int]:
        return dict(_KNOWN(self.connection, head.log_id, orjson.dumps(keys).decode()).tuples().all())

    def _write(self, head: Head, placed: Sequence[tuple[int, Draft]], time_ms: int) -> None:
        names = {user_id: pseudonym(head.pseudonym_key, user_id) for user_id in {draft.user_id for _, draft in placed}}
        salts = os.urandom(SALT * len(placed))
        hashes: list[bytes] = []
        rows: list[tuple[Any, ...]] = []
        subjects: list[tuple[Any, ...]] = []
        for place, (index, draft) in enumerate(placed):
            actor = draft.pseudonym or names[draft.user_id]
            leaf = make_leaf(draft, time_ms, actor, salts[place * SALT : (place + 1) * SALT])
            hashes.append(leaf.hash)
            rows.append((head.log_id, index, draft.key, draft.type, time_ms, actor, leaf.data, leaf.salt, draft.body, draft.receipt or None))
            subjects.extend((head.log_id, subject, index) for subject in set(draft.subjects))
        _INSERT_ENTRIES(self.connection, rows)
        _INSERT_SUBJECTS(self.connection, subjects)
        self._write_people(head, names)
        self._grow(head, hashes)
        head.last_time_ms = time_ms
        _GROWN(self.connection, head.size, time_ms, head.log_id)

    def _write_people(self, head: Head, names: dict[str, str]) -> None:
        people = {(head.log_id, name, user_id) for user_id, name in names.items() if user_id} - self._people
        _INSERT_PEOPLE(self.connection, sorted(people))
        self.met |= people

    def _grow(self, head: Head, leaf_hashes: Sequence[bytes]) -> None:
        edge = self.grown.get(head.log_id) or self._edges.pop(head.log_id, None)
        if edge is None or edge.size != head.size:
            edge = Edge(head.size, read_tiles(self.connection, head.log_id, edge_tiles(head.size)))
        changed = edge.extend(leaf_hashes)
        head.size = edge.size
        self.grown[head.log_id] = edge
        _PUT_TILES(self.connection, [(head.log_id, level, index, hashes) for (level, index), hashes in changed.items()])


def read_tiles(connection: Connection, log_id: int, keys: Iterable[TileKey]) -> dict[TileKey, bytes]:
    by_level: dict[int, list[int]] = {}
    for level, index in keys:
        by_level.setdefault(level, []).append(index)
    tiles: dict[TileKey, bytes] = {}
    for level, indexes in by_level.items():
        query = select(TILES.c.tile_index, TILES.c.hashes).where(TILES.c.log_id == log_id, TILES.c.level == level, TILES.c.tile_index.in_(indexes))
        for index, hashes in (connection.execute(query)).tuples():
            tiles[level, index] = hashes
    return tiles


class LogStore:
    """Runs transactions on the logs; `grown` hears of the workspaces that a commit made longer."""

    def __init__(self, transactions: Transactions, kek: Kek, grown: Callable[[dict[str, int]], None]) -> None:
        self._transactions = transactions
        self._kek = kek
        self._grown = grown
        self._edges: dict[int, Edge] = {}
        self._people: set[Person] = set()

    async def run(self, work: Callable[[LogTransaction], T]) -> T:
        """What `work` returns, once it is durable."""
        made: list[LogTransaction] = []

        def within(connection: Connection) -> T:
            made[:] = [LogTransaction(connection, self._kek, self._edges, self._people)]
            return work(made[0])

        result = await self._transactions.write(within)
        (transaction,) = made
        self._edges.update(transaction.grown)
        self._remember(transaction.met)
        changed = {head.workspace_id: head.size for head in transaction.heads.values() if head.log_id in transaction.grown}
        if changed:
            self._grown(changed)
        return result

    def _remember(self, people: set[Person]) -> None:
        """Whose pseudonym is written down already; forgetting that costs an insert that does nothing."""
        if len(self._people) > PEOPLE_KEPT:
            self._people = set()
        self._people |= people
