"""Rows of the workspace service.

- `cells` is the notebook as it is now; a version is a list of digests, and `contents` holds each cell that any version has once, compressed.
- At most one session of a notebook on a runtime is open, and at most one runtime of a workspace is the default: indexes say so.
"""

from sqlalchemy import BigInteger, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_OPEN = text("ended_at_ms = 0")
_DEFAULT = text("is_default")


class WorkspaceTable(SQLModel, registry=registry()):
    """Keeps this service's tables in a metadata of their own: the services may share a process."""


class WorkspaceRow(WorkspaceTable, table=True):
    __tablename__ = "workspaces"

    id: str = Field(primary_key=True, max_length=32)
    name: str = Field(sa_type=Text)
    parent_id: str | None = Field(default=None, max_length=32, foreign_key="workspaces.id", index=True)
    revision: int = Field(sa_type=BigInteger)
    created_at_ms: int = Field(sa_type=BigInteger)
    updated_at_ms: int = Field(sa_type=BigInteger)


class NotebookRow(WorkspaceTable, table=True):
    __tablename__ = "notebooks"
    __table_args__ = (Index("notebooks_by_change", "workspace_id", "updated_at_ms", "id"),)

    id: str = Field(primary_key=True, max_length=32)
    workspace_id: str = Field(max_length=32, foreign_key="workspaces.id")
    title: str = Field(sa_type=Text)
    metadata_json: str = Field(sa_type=Text)
    version: int = Field(sa_type=BigInteger)
    revision: int = Field(sa_type=BigInteger)
    created_at_ms: int = Field(sa_type=BigInteger)
    updated_at_ms: int = Field(sa_type=BigInteger)
    updated_by: str = Field(sa_type=Text)


class CellRow(WorkspaceTable, table=True):
    __tablename__ = "cells"

    notebook_id: str = Field(primary_key=True, max_length=32, foreign_key="notebooks.id", ondelete="CASCADE")
    id: str = Field(primary_key=True, max_length=64)
    position: int
    cell_type: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    fields_json: str = Field(sa_type=Text)
    linked: bool
    metadata_json: str = Field(sa_type=Text)
    outputs_json: str = Field(sa_type=Text)
    execution_count: int | None = Field(default=None, sa_type=BigInteger)
    attachments_json: str = Field(sa_type=Text)


class ContentRow(WorkspaceTable, table=True):
    """A cell of some version, by its digest."""

    __tablename__ = "contents"

    notebook_id: str = Field(primary_key=True, max_length=32, foreign_key="notebooks.id", ondelete="CASCADE")
    digest: bytes = Field(primary_key=True, sa_type=LargeBinary(32))
    body: bytes = Field(sa_type=LargeBinary)


class VersionRow(WorkspaceTable, table=True):
    __tablename__ = "versions"

    notebook_id: str = Field(primary_key=True, max_length=32, foreign_key="notebooks.id", ondelete="CASCADE")
    version: int = Field(primary_key=True, sa_type=BigInteger)
    title: str = Field(sa_type=Text)
    metadata_json: str = Field(sa_type=Text)
    # Digests of the cells in their order, 32 bytes each.
    digests: bytes = Field(sa_type=LargeBinary)
    created_by: str = Field(sa_type=Text)
    created_at_ms: int = Field(sa_type=BigInteger)


class ErasureRow(WorkspaceTable, table=True):
    """A workspace that was deleted: secrets has to erase its connections and keys. It stays, so that no other workspace gets the id."""

    __tablename__ = "erasures"

    workspace_id: str = Field(primary_key=True, max_length=32)
    deleted_at_ms: int = Field(sa_type=BigInteger)
    # 0 until secrets has said so.
    erased_at_ms: int = Field(sa_type=BigInteger)


class RuntimeRow(WorkspaceTable, table=True):
    __tablename__ = "runtimes"
    __table_args__ = (
        UniqueConstraint("workspace_id", "name"),
        Index("runtimes_default", "workspace_id", unique=True, sqlite_where=_DEFAULT, postgresql_where=_DEFAULT),
    )

    id: str = Field(primary_key=True, max_length=32)
    workspace_id: str = Field(max_length=32, foreign_key="workspaces.id")
    name: str = Field(sa_type=Text)
    url: str = Field(sa_type=Text)
    labels_json: str = Field(sa_type=Text)
    is_default: bool
    revision: int = Field(sa_type=BigInteger)
    created_at_ms: int = Field(sa_type=BigInteger)
    updated_at_ms: int = Field(sa_type=BigInteger)


class SessionRow(WorkspaceTable, table=True):
    """Outlives its notebook and runtime: it is history."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("sessions_open", "notebook_id", "runtime_id", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("sessions_by_time", "workspace_id", "opened_at_ms", "id"),
    )

    id: str = Field(primary_key=True, max_length=32)
    workspace_id: str = Field(max_length=32)
    notebook_id: str = Field(max_length=32)
    runtime_id: str = Field(max_length=32)
    kernel_name: str = Field(sa_type=Text)
    opened_by: str = Field(sa_type=Text)
    opened_at_ms: int = Field(sa_type=BigInteger)
    ended_at_ms: int = Field(sa_type=BigInteger)
