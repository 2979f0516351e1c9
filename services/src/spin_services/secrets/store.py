"""Keeps connections.

- A transaction that changes a connection raises its workspace's count first: the row's lock makes changes of one workspace follow one another.
- `before_commit` runs inside the transaction: what must be in the log is there before the change is.
"""

from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass, field
from hashlib import sha256

import orjson
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.database import Database
from spin_services.secrets.changes import count_change, count_revocation
from spin_services.secrets.credentials import Credentials, keys_of
from spin_services.secrets.domain import Changes, Connection, NewConnection, revokes
from spin_services.secrets.grants import Grant
from spin_services.secrets.records import WorkspaceKey
from spin_services.secrets.tables import ConnectionRow, CreationRow, CredentialRow, StateRow, TombstoneRow

BeforeCommit = Callable[[Sequence[Connection]], Awaitable[None]]


class ConnectionUnknown(Exception):
    """No such connection in this workspace."""


class NameTaken(Exception):
    """Other connections of the workspace have the names."""

    def __init__(self, names: Set[str]) -> None:
        super().__init__()
        self.names = names


class EtagMismatch(Exception):
    """The connection was changed since."""


class KeyReused(Exception):
    """The idempotency key made other connections."""


@dataclass(frozen=True, slots=True)
class Creation:
    """A connection to be. The key, unless empty, makes it once."""

    connection_id: str
    key: str
    new: NewConnection


@dataclass(frozen=True, slots=True)
class Usable:
    """What a bundle carries: connections with their credentials, and what must be forgotten."""

    # How often the connections of each workspace changed; workspaces that never had one are left out.
    counts: dict[str, int]
    # How often something of theirs was revoked.
    revocations: dict[str, int]
    connections: Sequence[Connection]
    tombstones: Sequence[str]
    credentials: dict[str, bytes] = field(repr=False)


class ConnectionStore:
    def __init__(self, database: Database, credentials: Credentials) -> None:
        self._database = database
        self._credentials = credentials

    async def create(self, workspace_id: str, creations: Sequence[Creation], now_ms: int, before_commit: BeforeCommit) -> list[Connection]:
        """All of the connections, or those that the keys made before. Raises NameTaken, KeyReused, KeysUnusable."""

        async def write(under: WorkspaceKey) -> list[Connection]:
            async with self._database.session() as session:
                await count_change(session, workspace_id)
                if (made := await _made_before(session, workspace_id, creations)) is not None:
                    return made
                if taken := await _taken(session, workspace_id, [creation.new.name for creation in creations]):
                    raise NameTaken(taken)
                rows = [_new_row(workspace_id, creation.connection_id, creation.new, now_ms) for creation in creations]
                session.add_all([*rows, *_creation_rows(workspace_id, creations)])
                credentials = [creation.new.credential for creation in creations]
                await self._credentials.put(session, workspace_id, under, list(zip(rows, credentials, strict=True)))
                for row in rows:
                    await _settle_default(session, row)
                connections = [_connection(row) for row in rows]
                await before_commit(connections)
                await session.commit()
                return connections

        return await self._credentials.under_current_key(workspace_id, write)

    async def taken(self, workspace_id: str, names: Sequence[str]) -> Set[str]:
        """Those of the names that connections of the workspace have."""
        async with self._database.reading() as session:
            return await _taken(session, workspace_id, names)

    async def update(
        self, workspace_id: str, connection_id: str, etag: str, changes: Changes, now_ms: int, before_commit: BeforeCommit
    ) -> Connection:
        """Raises ConnectionUnknown, EtagMismatch, NameTaken, KeysUnusable."""

        async def write(under: WorkspaceKey | None) -> Connection:
            async with self._database.session() as session:
                await count_change(session, workspace_id)
                row = await _row(session, workspace_id, connection_id, etag)
                if changes.name not in (None, row.name) and (taken := await _taken(session, workspace_id, [changes.name])):
                    raise NameTaken(taken)
                before = _connection(row)
                _change(row, changes)
                row.version += 1
                row.updated_at_ms = now_ms
                if changes.credential is not None and under is not None:
                    await session.execute(delete(CredentialRow).where(col(CredentialRow.connection_id) == connection_id))
                    await self._credentials.put(session, workspace_id, under, [(row, changes.credential)])
                await _settle_default(session, row)
                connection = _connection(row)
                if revokes(before, connection, new_credential=changes.credential is not None):
                    await count_revocation(session, workspace_id)
                await before_commit([connection])
                await session.commit()
                return connection

        if changes.credential is None:
            return await write(None)
        return await self._credentials.under_current_key(workspace_id, write)

    async def delete(self, workspace_id: str, connection_id: str, etag: str, now_ms: int, before_commit: BeforeCommit) -> None:
        """Raises ConnectionUnknown, EtagMismatch."""
        async with self._database.session() as session:
            await count_change(session, workspace_id)
            await count_revocation(session, workspace_id)
            row = await _row(session, workspace_id, connection_id, etag)
            connection = _connection(row)
            await session.execute(delete(CredentialRow).where(col(CredentialRow.connection_id) == connection_id))
            await session.delete(row)
            session.add(TombstoneRow(connection_id=connection_id, workspace_id=workspace_id, deleted_at_ms=now_ms))
            await before_commit([connection])
            await session.commit()

    async def get(self, chain: Sequence[str], connection_id: str) -> Connection:
        """Raises ConnectionUnknown."""
        async with self._database.reading() as session:
            row = await session.get(ConnectionRow, connection_id)
        if row is None or row.workspace_id not in chain:
            raise ConnectionUnknown
        return _connection(row)

    async def named(self, chain: Sequence[str], connection_ids: Sequence[str]) -> dict[str, Connection]:
        """Those of the ids that these workspaces share."""
        query = select(ConnectionRow).where(col(ConnectionRow.id).in_(connection_ids), col(ConnectionRow.workspace_id).in_(chain))
        async with self._database.reading() as session:
            return {row.id: _connection(row) for row in await session.scalars(query)}

    async def expiring(self, after_ms: int, before_ms: int) -> list[Connection]:
        """Of all workspaces."""
        soon = (col(ConnectionRow.expires_at_ms) > max(after_ms, 0), col(ConnectionRow.expires_at_ms) < before_ms)
        async with self._database.reading() as session:
            return [_connection(row) for row in await session.scalars(select(ConnectionRow).where(*soon))]

    async def page(self, chain: Sequence[str], kind: str, expires_before_ms: int, after: tuple[str, str], limit: int) -> list[Connection]:
        """By name, then id."""
        query = select(ConnectionRow).where(col(ConnectionRow.workspace_id).in_(chain))
        if kind:
            query = query.where(col(ConnectionRow.kind) == kind)
        if expires_before_ms:
            query = query.where(col(ConnectionRow.expires_at_ms) > 0, col(ConnectionRow.expires_at_ms) < expires_before_ms)
        name, connection_id = after
        query = query.where((col(ConnectionRow.name) > name) | ((col(ConnectionRow.name) == name) & (col(ConnectionRow.id) > connection_id)))
        async with self._database.reading() as session:
            rows = await session.scalars(query.order_by(ConnectionRow.name, ConnectionRow.id).limit(limit))
            return [_connection(row) for row in rows]

    async def usable(self, chain: Sequence[str]) -> Usable:
        """All that these workspaces share, without the credentials."""
        async with self._database.reading() as session:
            return await self._usable(session, chain, with_credentials=False)

    async def usable_within(self, session: AsyncSession, chain: Sequence[str]) -> Usable:
        """The same with the credentials, as the transaction sees it. Raises KeysUnusable."""
        return await self._usable(session, chain, with_credentials=True)

    async def _usable(self, session: AsyncSession, chain: Sequence[str], *, with_credentials: bool) -> Usable:
        # The counts first: what changes meanwhile makes the bundle count as older than it is, never as newer.
        states = (await session.scalars(select(StateRow).where(col(StateRow.workspace_id).in_(chain)))).all()
        rows = (await session.scalars(select(ConnectionRow).where(col(ConnectionRow.workspace_id).in_(chain)).order_by(ConnectionRow.id))).all()
        gone = (await session.scalars(select(col(TombstoneRow.connection_id)).where(col(TombstoneRow.workspace_id).in_(chain)))).all()
        wanted = [row.id for row in rows] if with_credentials else []
        records = (await session.scalars(select(CredentialRow).where(col(CredentialRow.connection_id).in_(wanted)))).all()
        keys = await keys_of(session, chain)
        connections = [_connection(row) for row in rows]
        workspaces = {row.id: row.workspace_id for row in rows}
        credentials = await self._credentials.open(workspaces, records, keys)
        counts = {state.workspace_id: state.changes for state in states}
        revocations = {state.workspace_id: state.revocations for state in states}
        return Usable(counts, revocations, connections, sorted(gone), credentials)


async def _row(session: AsyncSession, workspace_id: str, connection_id: str, etag: str) -> ConnectionRow:
    row = await session.get(ConnectionRow, connection_id)
    if row is None or row.workspace_id != workspace_id:
        raise ConnectionUnknown
    if etag != _connection(row).etag:
        raise EtagMismatch
    return row


async def _taken(session: AsyncSession, workspace_id: str, names: Sequence[str]) -> Set[str]:
    query = select(col(ConnectionRow.name)).where(col(ConnectionRow.workspace_id) == workspace_id, col(ConnectionRow.name).in_(names))
    return set(await session.scalars(query))


async def _made_before(session: AsyncSession, workspace_id: str, creations: Sequence[Creation]) -> list[Connection] | None:
    """None when the keys are new. Raises KeyReused."""
    keys = [creation.key for creation in creations if creation.key]
    query = select(CreationRow).where(col(CreationRow.workspace_id) == workspace_id, col(CreationRow.idempotency_key).in_(keys))
    made = {row.idempotency_key: row for row in await session.scalars(query)}
    if not made:
        return None
    ids = [made[key].connection_id for key in keys if key in made]
    rows = {row.id: row for row in await session.scalars(select(ConnectionRow).where(col(ConnectionRow.id).in_(ids)))}
    if len(rows) != len(creations) or {row.fingerprint for row in made.values()} != {_fingerprint(creations)}:
        raise KeyReused
    return [_connection(rows[connection_id]) for connection_id in ids]


def _creation_rows(workspace_id: str, creations: Sequence[Creation]) -> list[CreationRow]:
    print_of_all = _fingerprint(creations)
    return [
        CreationRow(workspace_id=workspace_id, idempotency_key=one.key, connection_id=one.connection_id, fingerprint=print_of_all)
        for one in creations
        if one.key
    ]


async def _settle_default(session: AsyncSession, row: ConnectionRow) -> None:
    """At most one default for a kind in a workspace: the newest to be made one."""
    if row.is_default:
        others = (col(ConnectionRow.workspace_id) == row.workspace_id, col(ConnectionRow.kind) == row.kind, col(ConnectionRow.id) != row.id)
        await session.execute(
            update(ConnectionRow)
            .where(*others, col(ConnectionRow.is_default))
            .values(is_default=False, version=ConnectionRow.version + 1, updated_at_ms=row.updated_at_ms)
        )


def _new_row(workspace_id: str, connection_id: str, new: NewConnection, now_ms: int) -> ConnectionRow:
    return ConnectionRow(
        id=connection_id,
        workspace_id=workspace_id,
        name=new.name,
        kind=new.kind,
        config_json=new.config_json,
        allowed_hosts=_list(new.allowed_hosts),
        allowed_operations=_list(new.allowed_operations),
        approval_operations=_list(new.approval_operations),
        credential_fields="[]",
        version=1,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        is_default=new.is_default,
        expires_at_ms=new.expires_at_ms,
        grants=_grants(new.grants),
        exposable=new.exposable,
        references_json=new.references_json,
    )


def _change(row: ConnectionRow, changes: Changes) -> None:
    if changes.name is not None:
        row.name = changes.name
    if changes.config_json is not None:
        row.config_json = changes.config_json
    if changes.allowed_hosts is not None:
        row.allowed_hosts = _list(changes.allowed_hosts)
    if changes.allowed_operations is not None:
        row.allowed_operations = _list(changes.allowed_operations)
    if changes.grants is not None:
        row.grants = _grants(changes.grants)
    if changes.expires_at_ms is not None:
        row.expires_at_ms = changes.expires_at_ms
    if changes.approval_operations is not None:
        row.approval_operations = _list(changes.approval_operations)
    if changes.is_default is not None:
        row.is_default = changes.is_default
    if changes.exposable is not None:
        row.exposable = changes.exposable
    if changes.references_json is not None:
        row.references_json = changes.references_json


def _connection(row: ConnectionRow) -> Connection:
    return Connection(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        kind=row.kind,
        config_json=row.config_json,
        allowed_hosts=tuple(orjson.loads(row.allowed_hosts)),
        allowed_operations=tuple(orjson.loads(row.allowed_operations)),
        approval_operations=tuple(orjson.loads(row.approval_operations)),
        credential_fields=tuple(orjson.loads(row.credential_fields)),
        version=row.version,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        is_default=row.is_default,
        grants=tuple(Grant(*said) for said in orjson.loads(row.grants)),
        expires_at_ms=row.expires_at_ms,
        exposable=row.exposable,
        references_json=row.references_json,
    )


def _grants(grants: Sequence[Grant]) -> str:
    return orjson.dumps([[grant.level, grant.role, grant.user_id] for grant in grants]).decode()


def _list(values: Sequence[str]) -> str:
    return orjson.dumps(list(values)).decode()


def _fingerprint(creations: Sequence[Creation]) -> bytes:
    digest = sha256()
    for new in (creation.new for creation in creations):
        lists = [list(values) for values in (new.allowed_hosts, new.allowed_operations, new.approval_operations)]
        said = [new.name, new.kind, new.config_json, *lists, new.is_default, sorted(new.credential), new.exposable, new.references_json]
        digest.update(orjson.dumps([*said, _grants(new.grants)]))
    return digest.digest()
