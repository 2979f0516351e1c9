"""Sessions: which notebook is open on which runtime."""

from collections.abc import Sequence

from sqlalchemy import literal, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.database import Database
from spin_services.rpc.errors import not_found
from spin_services.workspace.domain import Session
from spin_services.workspace.tables import NotebookRow, SessionRow
from spin_services.workspace.transaction import Before, commit


class SessionStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, wanted: Session, before: Before) -> tuple[Session, bool]:
        """The notebook's open session on the runtime, or the wanted one as a new one; and whether it is new."""
        async with self._database.session() as session:
            notebook = await session.get(NotebookRow, wanted.notebook_id)
            if notebook is None or notebook.workspace_id != wanted.workspace_id:
                raise not_found("notebook", wanted.notebook_id)
            existing = await _open(session, wanted)
            if existing is not None:
                return existing, False
            session.add(SessionRow(**vars(wanted)))
            try:
                await commit(session, before)
            except IntegrityError:
                await session.rollback()
                # Another replica was faster, between the look and the write.
                existing = await _open(session, wanted)
                if existing is None:
                    raise
                return existing, False
            return wanted, True

    async def get(self, workspace_id: str, session_id: str) -> Session:
        async with self._database.reading() as session:
            return _session(await _found(session, workspace_id, session_id))

    async def page(self, workspace_id: str, notebook_id: str, open_only: bool, limit: int, after: tuple[int, str] | None) -> Sequence[Session]:
        """Newest first."""
        query = select(SessionRow).where(col(SessionRow.workspace_id) == workspace_id)
        if notebook_id:
            query = query.where(col(SessionRow.notebook_id) == notebook_id)
        if open_only:
            query = query.where(col(SessionRow.ended_at_ms) == 0)
        if after is not None:
            query = query.where(tuple_(col(SessionRow.opened_at_ms), col(SessionRow.id)) < tuple_(*map(literal, after)))
        query = query.order_by(col(SessionRow.opened_at_ms).desc(), col(SessionRow.id).desc()).limit(limit)
        async with self._database.reading() as session:
            return [_session(row) for row in await session.scalars(query)]

    async def end(self, workspace_id: str, session_id: str, now_ms: int, before: Before) -> tuple[Session, bool]:
        """The session, ended, and whether it was open before. Ending twice changes nothing."""
        async with self._database.session() as session:
            row = await _found(session, workspace_id, session_id, lock=True)
            if row.ended_at_ms:
                return _session(row), False
            row.ended_at_ms = now_ms
            await commit(session, before)
            return _session(row), True


async def _open(session: AsyncSession, wanted: Session) -> Session | None:
    query = select(SessionRow).where(
        col(SessionRow.notebook_id) == wanted.notebook_id,
        col(SessionRow.runtime_id) == wanted.runtime_id,
        col(SessionRow.ended_at_ms) == 0,
    )
    row = (await session.scalars(query)).first()
    return _session(row) if row is not None else None


async def _found(session: AsyncSession, workspace_id: str, session_id: str, lock: bool = False) -> SessionRow:
    row = await session.get(SessionRow, session_id, with_for_update=lock or None)
    if row is None or row.workspace_id != workspace_id:
        raise not_found("session", session_id)
    return row


def _session(row: SessionRow) -> Session:
    return Session(row.id, row.workspace_id, row.notebook_id, row.runtime_id, row.kernel_name, row.opened_by, row.opened_at_ms, row.ended_at_ms)
