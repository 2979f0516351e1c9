"""Workspaces' keys, for a move of the installation to another KEK."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlmodel import col

from spin_services.database import Database
from spin_services.keys.moving import Wrapped
from spin_services.secrets.keyring import key_aad
from spin_services.secrets.tables import WorkspaceKeyRow


class WorkspaceKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> list[Wrapped]:
        """Destroyed ones hold nothing."""
        query = select(WorkspaceKeyRow).where(col(WorkspaceKeyRow.destroyed_at_ms) == 0)
        async with self._database.reading() as session:
            rows = (await session.scalars(query.order_by(col(WorkspaceKeyRow.workspace_id), col(WorkspaceKeyRow.version)))).all()
        return [Wrapped(f"version {row.version} of the key of workspace {row.workspace_id}", _aad(row), row.wrapped_key) for row in rows]

    async def save(self, moved: Sequence[tuple[Wrapped, bytes]]) -> None:
        async with self._database.session() as session:
            for one, data in moved:
                await session.execute(update(WorkspaceKeyRow).where(col(WorkspaceKeyRow.wrapped_key) == one.data).values(wrapped_key=data))
            await session.commit()


def _aad(row: WorkspaceKeyRow) -> bytes:
    return key_aad(row.workspace_id, row.version)
