"""Members of workspaces and the API keys of machines.

Rules: a change happens in a block (`async with changing() as change`) that commits at its end, so that the log's entry is written
inside, before the commit; the owners of a workspace are locked while one of them goes.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.auth import domain
from spin_services.auth.tables import ApiKeyRow, MemberRow, UserRow
from spin_services.database import Database
from spin_services.rpc.errors import already_exists
from spin_services.rpc.policy import RoleValue
from spinapis.auth.v1.members_pb2 import MemberRole


@dataclass(frozen=True)
class Member:
    row: MemberRow
    user: UserRow

    @property
    def role(self) -> RoleValue:
        return MemberRole.ValueType(self.row.role)


class MemberChange:
    """One transaction over members, people and keys."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def member(self, workspace_id: str, user_id: str) -> Member | None:
        row = await self._session.get(MemberRow, (workspace_id, user_id), with_for_update=True)
        user = await self._session.get(UserRow, user_id) if row is not None else None
        return Member(row, user) if row is not None and user is not None else None

    async def user_by_email(self, email: str) -> UserRow | None:
        return (await self._session.scalars(select(UserRow).where(col(UserRow.email) == email))).first()

    async def owners(self, workspace_id: str) -> list[str]:
        query = select(MemberRow).where(col(MemberRow.workspace_id) == workspace_id, col(MemberRow.role) == domain.OWNER)
        return [row.user_id for row in await self._session.scalars(query.with_for_update())]

    async def anyone(self, workspace_id: str) -> bool:
        return await _anyone(self._session, workspace_id)

    async def add(self, row: MemberRow | UserRow | ApiKeyRow) -> None:
        self._session.add(row)
        try:
            await self._session.flush()
        except IntegrityError:
            raise already_exists(row.__tablename__, "") from None

    async def remove(self, member: Member) -> None:
        await self._session.delete(member.row)
        await self._session.flush()

    async def set_role(self, member: Member, role: RoleValue) -> None:
        member.row.role = role
        member.row.version += 1
        await self._session.flush()

    async def api_key(self, workspace_id: str, key_id: str) -> ApiKeyRow | None:
        row = await self._session.get(ApiKeyRow, key_id, with_for_update=True)
        return row if row is not None and row.workspace_id == workspace_id else None


class Members:
    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[MemberChange]:
        """Commits when the block ends well, and otherwise changes nothing."""
        async with self._database.session() as session:
            yield MemberChange(session)
            await session.commit()

    async def role(self, workspace_id: str, user_id: str) -> RoleValue | None:
        async with self._database.reading() as session:
            row = await session.get(MemberRow, (workspace_id, user_id))
            return MemberRole.ValueType(row.role) if row is not None else None

    async def anyone(self, workspace_id: str) -> bool:
        """Whether there is such a workspace: each has an owner at least."""
        async with self._database.reading() as session:
            return await _anyone(session, workspace_id)

    async def members(self, workspace_id: str, after: tuple[int, str] | None, limit: int) -> list[Member]:
        """In order of joining."""
        query = select(MemberRow, UserRow).join(UserRow, col(UserRow.id) == col(MemberRow.user_id)).where(col(MemberRow.workspace_id) == workspace_id)
        if after is not None:
            joined, user_id = after
            later = (col(MemberRow.added_at_ms) == joined) & (col(MemberRow.user_id) > user_id)
            query = query.where((col(MemberRow.added_at_ms) > joined) | later)
        query = query.order_by(col(MemberRow.added_at_ms), col(MemberRow.user_id)).limit(limit)
        async with self._database.reading() as session:
            return [Member(row, user) for row, user in (await session.execute(query)).all()]

    async def access(self, user_id: str, after: str, limit: int) -> list[MemberRow]:
        """The workspaces of a person, by id."""
        query = select(MemberRow).where(col(MemberRow.user_id) == user_id, col(MemberRow.workspace_id) > after)
        async with self._database.reading() as session:
            return list(await session.scalars(query.order_by(col(MemberRow.workspace_id)).limit(limit)))

    async def api_keys(self, workspace_id: str, after: tuple[int, str] | None, limit: int) -> list[ApiKeyRow]:
        query = select(ApiKeyRow).where(col(ApiKeyRow.workspace_id) == workspace_id)
        if after is not None:
            made, key_id = after
            query = query.where((col(ApiKeyRow.created_at_ms) > made) | ((col(ApiKeyRow.created_at_ms) == made) & (col(ApiKeyRow.id) > key_id)))
        async with self._database.reading() as session:
            return list(await session.scalars(query.order_by(col(ApiKeyRow.created_at_ms), col(ApiKeyRow.id)).limit(limit)))

    async def who_may_run(self, line: Sequence[str]) -> tuple[list[MemberRow], list[ApiKeyRow]]:
        """The members of the first workspace with their roles in all of them, in order of joining it, and its API keys that are not revoked."""
        own = select(col(MemberRow.user_id)).where(col(MemberRow.workspace_id) == line[0])
        roles = select(MemberRow).where(col(MemberRow.workspace_id).in_(line), col(MemberRow.user_id).in_(own))
        keys = select(ApiKeyRow).where(col(ApiKeyRow.workspace_id) == line[0], col(ApiKeyRow.revoked_at_ms) == 0)
        async with self._database.reading() as session:
            members = await session.scalars(roles.order_by(col(MemberRow.added_at_ms), col(MemberRow.user_id)))
            return list(members), list(await session.scalars(keys.order_by(col(ApiKeyRow.created_at_ms))))

    async def names(self, workspace_id: str, user_ids: Sequence[str]) -> dict[str, str]:
        """How members of the workspace are called; nothing of others."""
        query = select(UserRow).join(MemberRow, col(UserRow.id) == col(MemberRow.user_id))
        query = query.where(col(MemberRow.workspace_id) == workspace_id, col(MemberRow.user_id).in_(user_ids))
        async with self._database.reading() as session:
            return {row.id: row.display_name or row.email for row in await session.scalars(query)}

    async def repeated_api_key(self, workspace_id: str, created_by: str, idempotency_key: str) -> ApiKeyRow | None:
        query = select(ApiKeyRow).where(col(ApiKeyRow.workspace_id) == workspace_id, col(ApiKeyRow.created_by) == created_by)
        async with self._database.reading() as session:
            return (await session.scalars(query.where(col(ApiKeyRow.idempotency_key) == idempotency_key))).first()

    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        async with self._database.reading() as session:
            return await session.get(ApiKeyRow, key_id)

    async def use_api_key(self, secret: str, now_ms: int) -> ApiKeyRow | None:
        """The living key with that secret; notes its use."""
        async with self._database.session() as session:
            row = await session.scalar(
                update(ApiKeyRow)
                .where(
                    col(ApiKeyRow.secret_digest) == domain.digest(secret),
                    col(ApiKeyRow.revoked_at_ms) == 0,
                    (col(ApiKeyRow.expires_at_ms) == 0) | (col(ApiKeyRow.expires_at_ms) > now_ms),
                )
                .values(last_used_at_ms=now_ms)
                .returning(ApiKeyRow)
            )
            await session.commit()
            return row


async def _anyone(session: AsyncSession, workspace_id: str) -> bool:
    query = select(col(MemberRow.user_id)).where(col(MemberRow.workspace_id) == workspace_id)
    return await session.scalar(query.limit(1)) is not None
