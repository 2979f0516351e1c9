"""Requests for approval.

Rules: a change happens in a block that commits at its end, so that the log's entry is written inside, before the commit; an approval is
used up by one UPDATE that only one run can win.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.auth.approval_rules import APPROVED, DECIDING_ROLES, PENDING, USED
from spin_services.auth.tables import ApprovalRow, MemberRow
from spin_services.database import Database
from spinapis.auth.v1.approvals_pb2 import ApprovalState


class ApprovalChange:
    """One transaction over approvals."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def approval(self, workspace_id: str, approval_id: str) -> ApprovalRow | None:
        row = await self._session.get(ApprovalRow, approval_id, with_for_update=True)
        return row if row is not None and row.workspace_id == workspace_id else None

    async def add(self, row: ApprovalRow) -> None:
        self._session.add(row)
        await self._session.flush()

    async def save(self) -> None:
        """Writes the rows that were read here and changed since."""
        await self._session.flush()


class Approvals:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[ApprovalChange]:
        """Commits when the block ends well, and otherwise changes nothing."""
        async with self._database.session() as session:
            yield ApprovalChange(session)
            await session.commit()

    async def approval(self, workspace_id: str, approval_id: str) -> ApprovalRow | None:
        async with self._database.reading() as session:
            row = await session.get(ApprovalRow, approval_id)
            return row if row is not None and row.workspace_id == workspace_id else None

    async def open_one(self, workspace_id: str, subject: str, now_ms: int) -> ApprovalRow | None:
        """The newest one of this subject that is pending, or approved and not yet used."""
        query = select(ApprovalRow).where(
            col(ApprovalRow.workspace_id) == workspace_id,
            col(ApprovalRow.subject) == subject,
            col(ApprovalRow.state).in_((PENDING, APPROVED)),
            col(ApprovalRow.expires_at_ms) > now_ms,
        )
        async with self._database.reading() as session:
            return (await session.scalars(query.order_by(col(ApprovalRow.state).desc(), col(ApprovalRow.requested_at_ms).desc()).limit(1))).first()

    async def listed(
        self, workspace_id: str, state: ApprovalState.ValueType, before: tuple[int, str] | None, limit: int, now_ms: int
    ) -> list[ApprovalRow]:
        """Newest first."""
        query = select(ApprovalRow).where(col(ApprovalRow.workspace_id) == workspace_id)
        over = col(ApprovalRow.state).in_((PENDING, APPROVED)) & (col(ApprovalRow.expires_at_ms) <= now_ms)
        if state == ApprovalState.APPROVAL_STATE_EXPIRED:
            query = query.where(over)
        elif state:
            query = query.where(col(ApprovalRow.state) == state, ~over)
        if before is not None:
            asked, approval_id = before
            same = (col(ApprovalRow.requested_at_ms) == asked) & (col(ApprovalRow.id) < approval_id)
            query = query.where((col(ApprovalRow.requested_at_ms) < asked) | same)
        query = query.order_by(col(ApprovalRow.requested_at_ms).desc(), col(ApprovalRow.id).desc()).limit(limit)
        async with self._database.reading() as session:
            return list(await session.scalars(query))

    async def use(self, approval_id: str, now_ms: int) -> bytes | None:
        """The signed Approval, used up; None when it is not approved, was used, or its time is over."""
        async with self._database.session() as session:
            document = await session.scalar(
                update(ApprovalRow)
                .where(col(ApprovalRow.id) == approval_id, col(ApprovalRow.state) == APPROVED, col(ApprovalRow.expires_at_ms) > now_ms)
                .values(state=USED)
                .returning(col(ApprovalRow.document))
            )
            await session.commit()
            return document

    async def deciders(self, workspace_id: str) -> list[str]:
        """User ids of the members who may decide, in order of joining."""
        query = select(col(MemberRow.user_id)).where(col(MemberRow.workspace_id) == workspace_id, col(MemberRow.role).in_(DECIDING_ROLES))
        async with self._database.reading() as session:
            return list(await session.scalars(query.order_by(col(MemberRow.added_at_ms), col(MemberRow.user_id))))
