"""Keeps the versions of workspaces' keys.

- A change of keys locks the workspace's key state; a write of a credential holds the same row shared, so no credential is written under a
  version that is refused by the time of the commit.
- The KEK is asked outside transactions: it may be far away, and SQLite has one writer.
- `before_commit` runs inside the transaction: what must be in the log is there before the change is.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.database import Database
from spin_services.keys import KeysUnusable
from spin_services.secrets.changes import count_change, count_revocation, erase_credentials, insert_if_absent
from spin_services.secrets.keyring import Keyring
from spin_services.secrets.records import WorkspaceKey
from spin_services.secrets.tables import ConnectionRow, CreationRow, CredentialRow, KeyStateRow, TombstoneRow, WorkspaceKeyRow

BeforeCommit = Callable[[], Awaitable[object]]


class VersionUnknown(Exception):
    """The workspace's key has no such version, or no longer."""


class StillUsed(Exception):
    """Credentials are under the version."""

    def __init__(self, credentials: int) -> None:
        super().__init__(credentials)
        self.credentials = credentials


class KeyRetired(Exception):
    """The version was retired since it was opened: write under the current one."""


@dataclass(frozen=True, slots=True)
class Version:
    version: int
    created_at_ms: int
    destroyed_at_ms: int
    current: bool
    refused: bool
    credentials: int


class KeyVersions:
    def __init__(self, database: Database, keyring: Keyring, clock: Callable[[], int]) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock

    async def current(self, workspace_id: str) -> WorkspaceKey:
        """The version that writes; the first is made when there is none. Raises KeysUnusable."""
        row = await self._current_row(workspace_id)
        if row is None:
            await self._make_first(workspace_id)
            row = await self._current_row(workspace_id)
            assert row is not None
        if row.destroyed_at_ms:
            raise KeysUnusable(f"the keys of workspace {workspace_id} were erased with the workspace")
        return (await self._keyring.open([row]))[workspace_id, row.version]

    async def _current_row(self, workspace_id: str) -> WorkspaceKeyRow | None:
        async with self._database.reading() as session:
            state = await session.get(KeyStateRow, workspace_id)
            return await session.get(WorkspaceKeyRow, (workspace_id, state.current_version)) if state is not None else None

    async def _make_first(self, workspace_id: str) -> None:
        row = await self._keyring.new(workspace_id, 1, self._clock())
        async with self._database.session() as session:
            state = {"workspace_id": workspace_id, "current_version": 1, "minimum_version": 1}
            for table, values in ((WorkspaceKeyRow, row.model_dump()), (KeyStateRow, state)):
                await session.execute(insert_if_absent(session, table, values))
            await session.commit()

    async def list(self, workspace_id: str) -> list[Version]:
        """Newest first."""
        async with self._database.reading() as session:
            state = await session.get(KeyStateRow, workspace_id)
            query = select(WorkspaceKeyRow).where(col(WorkspaceKeyRow.workspace_id) == workspace_id).order_by(col(WorkspaceKeyRow.version).desc())
            rows = (await session.scalars(query)).all()
            used = await _used(session, workspace_id)
        return [_version(row, state, used) for row in rows if state is not None]

    async def rotate(self, workspace_id: str, from_version: int, before_commit: Callable[[int], Awaitable[object]]) -> int:
        """The current version, made by this call or by the same call before. Raises KeysUnusable, VersionUnknown."""
        current = (await self.current(workspace_id)).version
        if from_version and from_version < current:
            return current
        if from_version > current:
            raise VersionUnknown
        row = await self._keyring.new(workspace_id, current + 1, self._clock())
        async with self._database.session() as session:
            state = await _locked(session, workspace_id)
            if state.current_version == current:
                session.add(row)
                state.current_version = row.version
                await before_commit(row.version)
                await session.commit()
            return state.current_version

    async def set_minimum(self, workspace_id: str, minimum: int, before_commit: BeforeCommit) -> None:
        """Raises VersionUnknown, StillUsed."""
        async with self._database.session() as session:
            state = await _locked(session, workspace_id)
            if not state.minimum_version <= minimum <= state.current_version:
                raise VersionUnknown
            below = sum(number for version, number in (await _used(session, workspace_id)).items() if version < minimum)
            if below:
                raise StillUsed(below)
            state.minimum_version = minimum
            await before_commit()
            await session.commit()

    async def destroy(self, workspace_id: str, version: int, erase: bool, before_commit: Callable[[int], Awaitable[object]]) -> int:
        """How many credentials were erased with it. Raises KeysUnusable, VersionUnknown, StillUsed."""
        current = (await self.current(workspace_id)).version
        successor = await self._keyring.new(workspace_id, current + 1, self._clock()) if version == current else None
        async with self._database.session() as session:
            if erase:
                # Before the keys' lock, as writes of credentials take the two.
                await count_change(session, workspace_id)
            state = await _locked(session, workspace_id)
            row = await session.get(WorkspaceKeyRow, (workspace_id, version))
            if row is None or row.destroyed_at_ms or state.current_version != current:
                raise VersionUnknown
            used = (await _used(session, workspace_id)).get(version, 0)
            if used and not erase:
                raise StillUsed(used)
            if used:
                await count_revocation(session, workspace_id)
                await erase_credentials(session, workspace_id, version, self._clock())
            if successor is not None:
                session.add(successor)
                state.current_version = successor.version
            _forget(row, self._clock())
            await before_commit(used)
            await session.commit()
            return used

    async def erase(self, workspace_id: str, before_commit: BeforeCommit) -> None:
        """All keys, credentials and connections of a workspace; runtimes forget them at their next synchronisation."""
        async with self._database.session() as session:
            await count_change(session, workspace_id)
            await count_revocation(session, workspace_id)
            rows = (await session.scalars(select(WorkspaceKeyRow).where(col(WorkspaceKeyRow.workspace_id) == workspace_id))).all()
            ids = (await session.scalars(select(col(ConnectionRow.id)).where(col(ConnectionRow.workspace_id) == workspace_id))).all()
            session.add_all(TombstoneRow(connection_id=gone, workspace_id=workspace_id, deleted_at_ms=self._clock()) for gone in ids)
            await session.execute(delete(CredentialRow).where(col(CredentialRow.connection_id).in_(ids)))
            await session.execute(delete(ConnectionRow).where(col(ConnectionRow.workspace_id) == workspace_id))
            await session.execute(delete(CreationRow).where(col(CreationRow.workspace_id) == workspace_id))
            for row in rows:
                _forget(row, self._clock())
            await session.execute(delete(KeyStateRow).where(col(KeyStateRow.workspace_id) == workspace_id))
            await before_commit()
            await session.commit()


async def check_writable(session: AsyncSession, workspace_id: str, key: WorkspaceKey) -> None:
    """Inside the transaction that writes a credential under the key. Raises KeyRetired."""
    state = await session.get(KeyStateRow, workspace_id, with_for_update={"read": True}, populate_existing=True)
    row = await session.get(WorkspaceKeyRow, (workspace_id, key.version), populate_existing=True)
    if state is None or row is None or row.destroyed_at_ms or key.version < state.minimum_version:
        raise KeyRetired


async def _locked(session: AsyncSession, workspace_id: str) -> KeyStateRow:
    """Raises VersionUnknown when the workspace has no key."""
    state = await session.get(KeyStateRow, workspace_id, with_for_update=True)
    if state is None:
        raise VersionUnknown
    return state


async def _used(session: AsyncSession, workspace_id: str) -> dict[int, int]:
    """How many credentials are under each version."""
    query = select(col(CredentialRow.key_version), func.count()).join(ConnectionRow, col(ConnectionRow.id) == col(CredentialRow.connection_id))
    query = query.where(col(ConnectionRow.workspace_id) == workspace_id).group_by(col(CredentialRow.key_version))
    return dict((await session.execute(query)).tuples().all())


def _forget(row: WorkspaceKeyRow, now_ms: int) -> None:
    row.wrapped_key, row.commitment, row.destroyed_at_ms = b"", b"", row.destroyed_at_ms or now_ms


def _version(row: WorkspaceKeyRow, state: KeyStateRow, used: Mapping[int, int]) -> Version:
    refused = bool(row.destroyed_at_ms) or row.version < state.minimum_version
    current = row.version == state.current_version
    return Version(row.version, row.created_at_ms, row.destroyed_at_ms, current, refused, used.get(row.version, 0))
