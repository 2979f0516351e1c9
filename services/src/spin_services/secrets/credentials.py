"""Credentials in their rows: written under the current version of the workspace's key, read under any that is accepted, brought to the current one.

Rules: after a rotation nobody waits for old credentials to be encrypted anew: what is read under an old version is noted and the sweep does it;
a write is always under the current version; a credential that does not open stops the read, and the log says which one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.database import Database
from spin_services.keys import KeysUnusable
from spin_services.secrets.key_store import KeyRetired, KeyVersions, check_writable
from spin_services.secrets.keyring import Keyring
from spin_services.secrets.records import Place, Record, RecordUnreadable, WorkspaceKey, read_record, write_record
from spin_services.secrets.tables import ConnectionRow, CredentialRow, KeyStateRow, WorkspaceKeyRow

T = TypeVar("T")

BATCH = 200
SWEEP_S = 300.0
ATTEMPTS = 3

log = structlog.get_logger("spin.secrets")


class Credentials:
    def __init__(self, database: Database, keyring: Keyring, versions: KeyVersions) -> None:
        self._database = database
        self._keyring = keyring
        self._versions = versions
        self._old_seen = asyncio.Event()

    async def under_current_key(self, workspace_id: str, write: Callable[[WorkspaceKey], Awaitable[T]]) -> T:
        """Does a write again when its key was retired meanwhile. Raises KeysUnusable."""
        for _ in range(ATTEMPTS):
            key = await self._versions.current(workspace_id)
            try:
                return await write(key)
            except KeyRetired:
                continue
        raise KeysUnusable(f"the key of workspace {workspace_id} changes all the time, or was erased with the workspace")

    async def put(
        self, session: AsyncSession, workspace_id: str, key: WorkspaceKey, written: Sequence[tuple[ConnectionRow, Mapping[str, Any]]]
    ) -> None:
        """The credentials of connections of the workspace. Raises KeyRetired."""
        await check_writable(session, workspace_id, key)
        for row, credential in written:
            row.credential_fields = orjson.dumps(sorted(credential)).decode()
            record = write_record(key, Place(workspace_id, row.id, row.version), orjson.dumps(dict(credential)))
            session.add(CredentialRow(connection_id=row.id, version=row.version, **_columns(record)))

    async def open(self, workspaces: Mapping[str, str], rows: Sequence[CredentialRow], keys: "Keys") -> dict[str, bytes]:
        """By connection; `workspaces` says whose each is. Raises KeysUnusable, RecordUnreadable."""
        named = {(workspaces[row.connection_id], row.key_version) for row in rows}
        opened = await self._keyring.open(keys.rows[place] for place in sorted(named) if keys.accepts(place))
        if any(not keys.is_current(place) for place in named):
            self._old_seen.set()
        return {row.connection_id: _read(workspaces[row.connection_id], row, opened) for row in rows}

    def wake(self) -> None:
        """Has the sweep look now."""
        self._old_seen.set()

    async def run(self) -> None:
        """For ever: brings what is under an old version to the current one, soon after it was read and from time to time."""
        while True:
            self._old_seen.clear()
            try:
                await self.renew()
            except Exception as failure:
                log.exception("key_sweep_failed", failure=type(failure).__name__)
            try:
                await asyncio.wait_for(self._old_seen.wait(), SWEEP_S)
            except TimeoutError:
                continue

    async def renew(self, workspace_id: str = "") -> None:
        """All of a workspace, or of all. What does not open is logged and left."""
        after = ""
        while batch := await self._old(workspace_id, after):
            for place, rows in batch.items():
                await self._renew(place, rows)
            after = max(row.connection_id for rows in batch.values() for row in rows)

    async def _old(self, workspace_id: str, after: str) -> dict[str, list[CredentialRow]]:
        query = select(CredentialRow, col(ConnectionRow.workspace_id)).join(ConnectionRow, col(ConnectionRow.id) == col(CredentialRow.connection_id))
        query = query.join(KeyStateRow, col(KeyStateRow.workspace_id) == col(ConnectionRow.workspace_id))
        query = query.where(col(CredentialRow.key_version) != col(KeyStateRow.current_version), col(CredentialRow.connection_id) > after)
        if workspace_id:
            query = query.where(col(ConnectionRow.workspace_id) == workspace_id)
        found: dict[str, list[CredentialRow]] = {}
        async with self._database.reading() as session:
            for row, place in (await session.execute(query.order_by(CredentialRow.connection_id).limit(BATCH))).tuples():
                found.setdefault(place, []).append(row)
        return found

    async def _renew(self, workspace_id: str, rows: Sequence[CredentialRow]) -> None:
        async with self._database.reading() as session:
            keys = await keys_of(session, [workspace_id])
        opened = await self._keyring.open(key for place, key in keys.rows.items() if keys.accepts(place))

        async def write(key: WorkspaceKey) -> None:
            async with self._database.session() as session:
                await check_writable(session, workspace_id, key)
                for row in rows:
                    await _rewrite(session, workspace_id, row, opened, key)
                await session.commit()

        await self.under_current_key(workspace_id, write)


class Keys:
    """The stored keys of some workspaces, as of one moment."""

    def __init__(self, rows: Sequence[WorkspaceKeyRow], states: Sequence[KeyStateRow]) -> None:
        self.rows = {(row.workspace_id, row.version): row for row in rows}
        self._states = {state.workspace_id: state for state in states}

    def accepts(self, place: tuple[str, int]) -> bool:
        row, state = self.rows.get(place), self._states.get(place[0])
        return row is not None and state is not None and not row.destroyed_at_ms and row.version >= state.minimum_version

    def is_current(self, place: tuple[str, int]) -> bool:
        state = self._states.get(place[0])
        return state is not None and state.current_version == place[1]


async def keys_of(session: AsyncSession, workspace_ids: Sequence[str]) -> Keys:
    rows = (await session.scalars(select(WorkspaceKeyRow).where(col(WorkspaceKeyRow.workspace_id).in_(workspace_ids)))).all()
    states = (await session.scalars(select(KeyStateRow).where(col(KeyStateRow.workspace_id).in_(workspace_ids)))).all()
    return Keys(rows, states)


def _read(workspace_id: str, row: CredentialRow, opened: Mapping[tuple[str, int], WorkspaceKey]) -> bytes:
    key = opened.get((workspace_id, row.key_version))
    if key is None:
        raise RecordUnreadable(f"the credential of connection {row.connection_id} is under version {row.key_version}, which is refused or destroyed")
    record = Record(row.key_version, row.wrapped_key, row.commitment, row.sealed)
    return read_record(key, Place(workspace_id, row.connection_id, row.version), record)


async def _rewrite(
    session: AsyncSession, workspace_id: str, row: CredentialRow, opened: Mapping[tuple[str, int], WorkspaceKey], key: WorkspaceKey
) -> None:
    """Only if it is still the row that was read."""
    try:
        plaintext = _read(workspace_id, row, opened)
    except KeysUnusable as failure:
        log.error("credential_unreadable", connection_id=row.connection_id, why=str(failure))
        return
    record = write_record(key, Place(workspace_id, row.connection_id, row.version), plaintext)
    same = (col(CredentialRow.connection_id) == row.connection_id, col(CredentialRow.version) == row.version)
    await session.execute(update(CredentialRow).where(*same, col(CredentialRow.key_version) == row.key_version).values(**_columns(record)))


def _columns(record: Record) -> dict[str, Any]:
    return {"key_version": record.key_version, "wrapped_key": record.wrapped_key, "commitment": record.commitment, "sealed": record.sealed}
