"""What every change of a workspace's connections does to its rows, inside its transaction."""

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.secrets.tables import ConnectionRow, CredentialRow, StateRow


async def count_change(session: AsyncSession, workspace_id: str) -> None:
    """Comes first: the row's lock makes changes of one workspace follow one another."""
    await session.execute(insert_if_absent(session, StateRow, {"workspace_id": workspace_id, "changes": 0}))
    await session.execute(update(StateRow).where(col(StateRow.workspace_id) == workspace_id).values(changes=StateRow.changes + 1))


async def count_revocation(session: AsyncSession, workspace_id: str) -> None:
    """After `count_change`: from now on bundles that hold the workspace's connections as they were are refused."""
    await session.execute(update(StateRow).where(col(StateRow.workspace_id) == workspace_id).values(revocations=StateRow.revocations + 1))


def insert_if_absent(session: AsyncSession, row: Any, values: dict[str, Any]) -> Any:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    return dialect.insert(row).values(**values).on_conflict_do_nothing()


async def erase_credentials(session: AsyncSession, workspace_id: str, key_version: int, now_ms: int) -> None:
    """Those under a version; their connections stay, without a credential."""
    under = select(col(CredentialRow.connection_id)).where(col(CredentialRow.key_version) == key_version)
    ours = (col(ConnectionRow.workspace_id) == workspace_id, col(ConnectionRow.id).in_(under))
    ids = (await session.scalars(select(col(ConnectionRow.id)).where(*ours))).all()
    emptied = {"credential_fields": "[]", "version": ConnectionRow.version + 1, "updated_at_ms": now_ms}
    await session.execute(update(ConnectionRow).where(col(ConnectionRow.id).in_(ids)).values(**emptied))
    await session.execute(delete(CredentialRow).where(col(CredentialRow.connection_id).in_(ids)))
