"""Registrations of runtimes."""

import json
from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.database import Database
from spin_services.rpc.errors import already_exists, not_found
from spin_services.workspace.domain import Runtime, RuntimeChange
from spin_services.workspace.tables import RuntimeRow, SessionRow
from spin_services.workspace.transaction import Before, check_etag, commit
from spin_services.workspace.workspace_store import found as found_workspace
from spin_services.workspace.workspace_store import line


class RuntimeStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, runtime: Runtime, before: Before) -> tuple[Runtime, bool]:
        """The runtime, and whether it is new. The first one of a workspace is its default."""
        async with self._database.session() as session:
            await found_workspace(session, runtime.workspace_id, lock=True)
            existing = await session.get(RuntimeRow, runtime.id)
            if existing is not None:
                return _runtime(existing), False
            others = await _of_workspace(session, runtime.workspace_id)
            row = _row(runtime)
            row.is_default = runtime.is_default or not any(other.is_default for other in others)
            await _check_name(session, row)
            if row.is_default:
                await _no_default(session, runtime.workspace_id)
            session.add(row)
            await _committed(session, row, before)
            return _runtime(row), True

    async def get(self, workspace_id: str, runtime_id: str) -> Runtime:
        """Of the workspace or of one above it."""
        async with self._database.reading() as session:
            row = await session.get(RuntimeRow, runtime_id)
            if row is None or row.workspace_id not in await line(session, workspace_id):
                raise not_found("runtime", runtime_id)
            return _runtime(row)

    async def visible(self, workspace_id: str) -> tuple[list[str], Sequence[Runtime]]:
        """The workspace's line, and the runtimes along it: own ones first, each workspace's by name."""
        async with self._database.reading() as session:
            ancestors = await line(session, workspace_id)
            rows = await session.scalars(select(RuntimeRow).where(col(RuntimeRow.workspace_id).in_(ancestors)))
            runtimes = [_runtime(row) for row in rows]
        return ancestors, sorted(runtimes, key=lambda runtime: (ancestors.index(runtime.workspace_id), runtime.name, runtime.id))

    async def update(self, workspace_id: str, runtime_id: str, etag: str, change: RuntimeChange, now_ms: int, before: Before) -> Runtime:
        async with self._database.session() as session:
            await found_workspace(session, workspace_id, lock=True)
            row = await _found(session, workspace_id, runtime_id)
            check_etag("runtime", etag, row.revision)
            changed = change.applied(_runtime(row), now_ms)
            if changed.is_default and not row.is_default:
                await _no_default(session, workspace_id)
            for name, value in vars(_row(changed)).items():
                if not name.startswith("_") and name != "id":
                    setattr(row, name, value)
            await _check_name(session, row)
            await _committed(session, row, before)
            return changed

    async def delete(self, workspace_id: str, runtime_id: str, etag: str, now_ms: int, before: Before) -> None:
        """Sessions that are open on it end."""
        async with self._database.session() as session:
            row = await _found(session, workspace_id, runtime_id)
            check_etag("runtime", etag, row.revision)
            ended = update(SessionRow).where(col(SessionRow.runtime_id) == runtime_id, col(SessionRow.ended_at_ms) == 0)
            await session.execute(ended.values(ended_at_ms=now_ms))
            await session.delete(row)
            await commit(session, before)


async def _committed(session: AsyncSession, row: RuntimeRow, before: Before) -> None:
    try:
        await commit(session, before)
    except IntegrityError:
        raise already_exists("runtime", row.name) from None


async def _check_name(session: AsyncSession, row: RuntimeRow) -> None:
    same = select(col(RuntimeRow.id)).where(col(RuntimeRow.workspace_id) == row.workspace_id, col(RuntimeRow.name) == row.name)
    with session.no_autoflush:
        if any(other != row.id for other in await session.scalars(same)):
            raise already_exists("runtime", row.name)


async def _no_default(session: AsyncSession, workspace_id: str) -> None:
    default = update(RuntimeRow).where(col(RuntimeRow.workspace_id) == workspace_id, col(RuntimeRow.is_default))
    await session.execute(default.values(is_default=False))


async def _of_workspace(session: AsyncSession, workspace_id: str) -> Sequence[RuntimeRow]:
    return list(await session.scalars(select(RuntimeRow).where(col(RuntimeRow.workspace_id) == workspace_id)))


async def _found(session: AsyncSession, workspace_id: str, runtime_id: str) -> RuntimeRow:
    row = await session.get(RuntimeRow, runtime_id, with_for_update=True)
    if row is None or row.workspace_id != workspace_id:
        raise not_found("runtime", runtime_id)
    return row


def _row(runtime: Runtime) -> RuntimeRow:
    own = {name: value for name, value in vars(runtime).items() if name != "labels"}
    return RuntimeRow(labels_json=json.dumps(dict(runtime.labels), sort_keys=True), **own)


def _runtime(row: RuntimeRow) -> Runtime:
    return Runtime(
        row.id,
        row.workspace_id,
        row.name,
        row.url,
        json.loads(row.labels_json),
        row.is_default,
        row.revision,
        row.created_at_ms,
        row.updated_at_ms,
    )
