"""Workspaces' policies.

Rules: a change happens in a block that commits at its end, so that the log's entry is written inside, before the commit; two first changes at
once are told from one another by the row's key.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.auth.tables import WorkspacePolicyRow
from spin_services.database import Database
from spin_services.rpc.errors import etag_mismatch


class PolicyChange:
    """One transaction over policies."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def policy(self, workspace_id: str) -> WorkspacePolicyRow:
        """Locked; a new one where there is none."""
        row = await self._session.get(WorkspacePolicyRow, workspace_id, with_for_update=True)
        return row or WorkspacePolicyRow(workspace_id=workspace_id)

    async def save(self, row: WorkspacePolicyRow) -> None:
        self._session.add(row)
        try:
            await self._session.flush()
        except IntegrityError:
            raise etag_mismatch("policy") from None


class Policies:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[PolicyChange]:
        """Commits when the block ends well, and otherwise changes nothing."""
        async with self._database.session() as session:
            yield PolicyChange(session)
            await session.commit()

    async def policies(self, workspace_ids: Sequence[str]) -> dict[str, WorkspacePolicyRow]:
        """Of those that have one."""
        query = select(WorkspacePolicyRow).where(col(WorkspacePolicyRow.workspace_id).in_(workspace_ids))
        async with self._database.reading() as session:
            return {row.workspace_id: row for row in await session.scalars(query)}
