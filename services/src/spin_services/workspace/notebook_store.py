"""Notebooks as they are now, and their versions."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from hashlib import sha256

from sqlalchemy import delete, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from spin_services.database import Database
from spin_services.rpc.errors import ErrorReason, ServiceError, not_found
from spin_services.workspace.domain import MAXIMUM_NOTEBOOK, Cell, Content, Notebook, Version, with_stored_outputs
from spin_services.workspace.tables import CellRow, ContentRow, NotebookRow, SessionRow, VersionRow
from spin_services.workspace.transaction import Before, check_etag, commit, nothing
from spin_services.workspace.workspace_store import found as found_workspace

_DIGEST = 32


class NotebookStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, notebook: Notebook, before: Before) -> tuple[Notebook, bool]:
        """The notebook, and whether it is new."""
        async with self._database.session() as session:
            await found_workspace(session, notebook.workspace_id)
            existing = await session.get(NotebookRow, notebook.id)
            if existing is not None:
                return await _notebook(session, existing), False
            made = replace(notebook, content=_whole(notebook.content, {}))
            session.add(_row(made))
            await session.flush()
            await _write(session, made)
            await commit(session, before)
            return made, True

    async def get(self, workspace_id: str, notebook_id: str) -> Notebook:
        async with self._database.reading() as session:
            return await _notebook(session, await _found(session, workspace_id, notebook_id))

    async def page(self, workspace_id: str, limit: int, after: tuple[int, str] | None) -> Sequence[Notebook]:
        """Without cells; the newest change first."""
        query = select(NotebookRow).where(col(NotebookRow.workspace_id) == workspace_id)
        if after is not None:
            query = query.where(tuple_(col(NotebookRow.updated_at_ms), col(NotebookRow.id)) < tuple_(*map(literal, after)))
        query = query.order_by(col(NotebookRow.updated_at_ms).desc(), col(NotebookRow.id).desc()).limit(limit)
        async with self._database.reading() as session:
            return [_of(row, ()) for row in await session.scalars(query)]

    async def update(self, workspace_id: str, notebook_id: str, etag: str, content: Content, user_id: str, now_ms: int) -> Notebook:
        async with self._database.session() as session:
            row = await _found(session, workspace_id, notebook_id, lock=True)
            check_etag("notebook", etag, row.revision)
            return await self._replaced(session, row, content, user_id, now_ms)

    async def restore(self, workspace_id: str, notebook_id: str, version: int, etag: str, user_id: str, now_ms: int) -> Notebook:
        async with self._database.session() as session:
            row = await _found(session, workspace_id, notebook_id, lock=True)
            check_etag("notebook", etag, row.revision)
            _, content = await _version(session, notebook_id, version)
            return await self._replaced(session, row, content, user_id, now_ms)

    async def _replaced(self, session: AsyncSession, row: NotebookRow, content: Content, user_id: str, now_ms: int) -> Notebook:
        stored = {cell.id: cell for cell in await _cells(session, row.id)}
        made = replace(_of(row, ()), content=_whole(content, stored), version=row.version + 1, revision=row.revision + 1)
        made = replace(made, updated_at_ms=now_ms, updated_by=user_id)
        row.title, row.metadata_json = made.content.title, made.content.metadata_json
        row.version, row.revision, row.updated_at_ms, row.updated_by = made.version, made.revision, now_ms, user_id
        await session.execute(delete(CellRow).where(col(CellRow.notebook_id) == row.id))
        await _write(session, made)
        await commit(session, nothing)
        return made

    async def delete(self, workspace_id: str, notebook_id: str, etag: str, now_ms: int, before: Before) -> None:
        """Its open sessions end with it."""
        async with self._database.session() as session:
            row = await _found(session, workspace_id, notebook_id, lock=True)
            check_etag("notebook", etag, row.revision)
            open_sessions = select(SessionRow).where(col(SessionRow.notebook_id) == notebook_id, col(SessionRow.ended_at_ms) == 0)
            for open_session in await session.scalars(open_sessions):
                open_session.ended_at_ms = now_ms
            await session.delete(row)
            await commit(session, before)

    async def save_outputs(self, workspace_id: str, notebook_id: str, cell_id: str, outputs_json: str, execution_count: int | None) -> None:
        async with self._database.session() as session:
            notebook = await _found(session, workspace_id, notebook_id, lock=True)
            cells = await _cells(session, notebook_id)
            row = await session.get(CellRow, (notebook_id, cell_id))
            if row is None:
                raise not_found("cell", cell_id)
            saved = [replace(cell, outputs_json=outputs_json) if cell.id == cell_id else cell for cell in cells]
            _check_weight(Content(notebook.title, tuple(saved), notebook.metadata_json))
            row.outputs_json, row.execution_count = outputs_json, execution_count
            await commit(session, nothing)

    async def versions(self, workspace_id: str, notebook_id: str, limit: int, before_version: int | None) -> Sequence[Version]:
        """Newest first."""
        query = select(VersionRow).where(col(VersionRow.notebook_id) == notebook_id)
        if before_version is not None:
            query = query.where(col(VersionRow.version) < before_version)
        async with self._database.reading() as session:
            await _found(session, workspace_id, notebook_id)
            rows = await session.scalars(query.order_by(col(VersionRow.version).desc()).limit(limit))
            return [Version(row.version, row.title, row.created_by, row.created_at_ms) for row in rows]

    async def version(self, workspace_id: str, notebook_id: str, version: int) -> Notebook:
        """The notebook as that version was; its etag is the present one."""
        async with self._database.reading() as session:
            row = await _found(session, workspace_id, notebook_id)
            saved, content = await _version(session, notebook_id, version)
            present = replace(_of(row, ()), content=content, version=version)
            return replace(present, updated_at_ms=saved.created_at_ms, updated_by=saved.created_by)


async def _found(session: AsyncSession, workspace_id: str, notebook_id: str, lock: bool = False) -> NotebookRow:
    row = await session.get(NotebookRow, notebook_id, with_for_update=lock or None)
    if row is None or row.workspace_id != workspace_id:
        raise not_found("notebook", notebook_id)
    return row


async def _notebook(session: AsyncSession, row: NotebookRow) -> Notebook:
    return _of(row, await _cells(session, row.id))


async def _cells(session: AsyncSession, notebook_id: str) -> tuple[Cell, ...]:
    query = select(CellRow).where(col(CellRow.notebook_id) == notebook_id).order_by(col(CellRow.position))
    return tuple(
        Cell(
            row.id,
            row.cell_type,
            row.source,
            row.fields_json,
            row.linked,
            row.metadata_json,
            row.outputs_json,
            row.execution_count,
            row.attachments_json,
        )
        for row in await session.scalars(query)
    )


def _whole(content: Content, stored: dict[str, Cell]) -> Content:
    """Every cell with its outputs. Raises TOO_LARGE."""
    whole = replace(content, cells=with_stored_outputs(content.cells, stored))
    _check_weight(whole)
    return whole


def _check_weight(content: Content) -> None:
    if content.weight() > MAXIMUM_NOTEBOOK:
        text = "The notebook with its outputs is over 4 MB: clear outputs that are not needed."
        raise ServiceError(ErrorReason.ERROR_REASON_TOO_LARGE, text, limit=str(MAXIMUM_NOTEBOOK))


async def _write(session: AsyncSession, notebook: Notebook) -> None:
    """The cells as they are now, and the version."""
    digests = []
    known = set(await session.scalars(select(col(ContentRow.digest)).where(col(ContentRow.notebook_id) == notebook.id)))
    for position, cell in enumerate(notebook.content.cells):
        session.add(CellRow(notebook_id=notebook.id, position=position, **vars(cell)))
        digest, body = _packed(cell)
        digests.append(digest)
        if digest not in known:
            known.add(digest)
            session.add(ContentRow(notebook_id=notebook.id, digest=digest, body=body))
    session.add(
        VersionRow(
            notebook_id=notebook.id,
            version=notebook.version,
            title=notebook.content.title,
            metadata_json=notebook.content.metadata_json,
            digests=b"".join(digests),
            created_by=notebook.updated_by,
            created_at_ms=notebook.updated_at_ms,
        )
    )


async def _version(session: AsyncSession, notebook_id: str, version: int) -> tuple[VersionRow, Content]:
    row = await session.get(VersionRow, (notebook_id, version))
    if row is None:
        raise not_found("version", str(version))
    digests = [row.digests[start : start + _DIGEST] for start in range(0, len(row.digests), _DIGEST)]
    query = select(ContentRow).where(col(ContentRow.notebook_id) == notebook_id, col(ContentRow.digest).in_(digests))
    bodies = {found.digest: found.body for found in await session.scalars(query)}
    return row, Content(row.title, tuple(_unpacked(bodies[digest]) for digest in digests), row.metadata_json)


def _packed(cell: Cell) -> tuple[bytes, bytes]:
    text = json.dumps(asdict(cell), sort_keys=True).encode()
    return sha256(text).digest(), zlib.compress(text)


def _unpacked(body: bytes) -> Cell:
    return Cell(**json.loads(zlib.decompress(body)))


def _row(notebook: Notebook) -> NotebookRow:
    own = {name: value for name, value in vars(notebook).items() if name != "content"}
    return NotebookRow(title=notebook.content.title, metadata_json=notebook.content.metadata_json, **own)


def _of(row: NotebookRow, cells: tuple[Cell, ...]) -> Notebook:
    content = Content(row.title, cells, row.metadata_json)
    return Notebook(row.id, row.workspace_id, content, row.version, row.revision, row.created_at_ms, row.updated_at_ms, row.updated_by)
