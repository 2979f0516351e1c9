"""Workspaces and the line from each to its farthest ancestor."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.database import Database
from spin_services.rpc.errors import invalid, not_found
from spin_services.workspace.domain import MAXIMUM_DEPTH, Workspace
from spin_services.workspace.tables import ErasureRow, NotebookRow, RuntimeRow, WorkspaceRow
from spin_services.workspace.transaction import Before, check_etag, commit


class WorkspaceStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, workspace: Workspace, before: Before) -> tuple[Workspace, bool]:
        """The workspace, and whether it is new: one with this id may be there from an earlier call."""
        async with self._database.session() as session:
            existing = await session.get(WorkspaceRow, workspace.id)
            if existing is not None:
                return _workspace(existing), False
            if await session.get(ErasureRow, workspace.id) is not None:
                raise invalid("idempotency_key", "This key made a workspace that was deleted since: take another key.")
            if workspace.parent_id and len(await line(session, workspace.parent_id)) >= MAXIMUM_DEPTH:
                raise invalid("parent_id", f"Workspaces are nested at most {MAXIMUM_DEPTH} deep.")
            session.add(WorkspaceRow(**{**vars(workspace), "parent_id": workspace.parent_id or None}))
            await commit(session, before)
            return workspace, True

    async def get(self, workspace_id: str) -> Workspace:
        async with self._database.reading() as session:
            return _workspace(await found(session, workspace_id))

    async def many(self, workspace_ids: Sequence[str]) -> Sequence[Workspace]:
        """Those that exist, in the order asked for."""
        async with self._database.reading() as session:
            rows = await session.scalars(select(WorkspaceRow).where(col(WorkspaceRow.id).in_(workspace_ids)))
            by_id = {row.id: _workspace(row) for row in rows}
        return [by_id[workspace_id] for workspace_id in workspace_ids if workspace_id in by_id]

    async def rename(self, workspace_id: str, etag: str, name: str, now_ms: int, before: Before) -> Workspace:
        async with self._database.session() as session:
            row = await found(session, workspace_id, lock=True)
            check_etag("workspace", etag, row.revision)
            row.name, row.revision, row.updated_at_ms = name, row.revision + 1, now_ms
            await commit(session, before)
            return _workspace(row)

    async def delete(self, workspace_id: str, etag: str, now_ms: int, before: Before) -> None:
        """Only an empty workspace: without children, notebooks and runtimes. What else it had is to be erased from then on."""
        async with self._database.session() as session:
            row = await found(session, workspace_id, lock=True)
            check_etag("workspace", etag, row.revision)
            for name, column in (
                ("workspaces", col(WorkspaceRow.parent_id)),
                ("notebooks", col(NotebookRow.workspace_id)),
                ("runtimes", col(RuntimeRow.workspace_id)),
            ):
                if (await session.scalars(select(column).where(column == workspace_id).limit(1))).first() is not None:
                    raise invalid("workspace_id", f"The workspace is not empty: delete its {name} first.")
            await session.delete(row)
            session.add(ErasureRow(workspace_id=workspace_id, deleted_at_ms=now_ms, erased_at_ms=0))
            await commit(session, before)

    async def ancestors(self, workspace_id: str) -> list[str]:
        """The workspace, its parent, and so on."""
        async with self._database.reading() as session:
            return await line(session, workspace_id)


async def found(session: AsyncSession, workspace_id: str, lock: bool = False) -> WorkspaceRow:
    row = await session.get(WorkspaceRow, workspace_id, with_for_update=lock or None)
    if row is None:
        raise not_found("workspace", workspace_id)
    return row


async def line(session: AsyncSession, workspace_id: str) -> list[str]:
    """Parents never change, so the line is walked without locks; its length is bounded when a workspace is made."""
    ids: list[str] = []
    place: str | None = workspace_id
    while place:
        ids.append(place)
        place = (await found(session, place)).parent_id
    return ids


def _workspace(row: WorkspaceRow) -> Workspace:
    return Workspace(row.id, row.name, row.parent_id or "", row.revision, row.created_at_ms, row.updated_at_ms)
