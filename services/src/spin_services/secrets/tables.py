"""Rows of the secrets service. Credentials stand in `credentials` alone, encrypted; `bundles` holds digests, never contents."""

from sqlalchemy import BigInteger, LargeBinary, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class SecretsRow(SQLModel, registry=registry()):
    """Keeps secrets' tables in a metadata of their own: the services may share a process."""


class ConnectionRow(SecretsRow, table=True):
    __tablename__ = "connections"
    __table_args__ = (UniqueConstraint("workspace_id", "name"),)

    id: str = Field(primary_key=True, max_length=32)
    workspace_id: str = Field(max_length=32)
    name: str
    kind: str
    config_json: str
    # JSON arrays of text.
    allowed_hosts: str
    allowed_operations: str
    approval_operations: str
    credential_fields: str
    version: int = Field(sa_type=BigInteger)
    created_at_ms: int = Field(sa_type=BigInteger)
    updated_at_ms: int = Field(sa_type=BigInteger)
    is_default: bool
    # JSON array of [level, role, user].
    grants: str = "[]"
    # 0 for never.
    expires_at_ms: int = Field(sa_type=BigInteger)
    exposable: bool
    # JSON object; empty for none.
    references_json: str


class CredentialRow(SecretsRow, table=True):
    __tablename__ = "credentials"

    connection_id: str = Field(primary_key=True, max_length=32)
    # The connection's version when the credential was written; bound to the ciphertext.
    version: int = Field(sa_type=BigInteger)
    # The version of the workspace's key that `wrapped_key` is under.
    key_version: int = Field(sa_type=BigInteger, index=True)
    wrapped_key: bytes = Field(sa_type=LargeBinary)
    commitment: bytes = Field(sa_type=LargeBinary)
    sealed: bytes = Field(sa_type=LargeBinary)


class WorkspaceKeyRow(SecretsRow, table=True):
    """One version of a workspace's key, wrapped by the KEK."""

    __tablename__ = "workspace_keys"

    workspace_id: str = Field(primary_key=True, max_length=32)
    version: int = Field(primary_key=True, sa_type=BigInteger)
    # Both empty once it is destroyed.
    wrapped_key: bytes = Field(sa_type=LargeBinary)
    commitment: bytes = Field(sa_type=LargeBinary)
    created_at_ms: int = Field(sa_type=BigInteger)
    # 0 while it is there.
    destroyed_at_ms: int = Field(sa_type=BigInteger)


class KeyStateRow(SecretsRow, table=True):
    """Which versions of a workspace's key write and read. Its lock makes writes of credentials wait for changes of keys."""

    __tablename__ = "key_states"

    workspace_id: str = Field(primary_key=True, max_length=32)
    current_version: int = Field(sa_type=BigInteger)
    minimum_version: int = Field(sa_type=BigInteger)


class TombstoneRow(SecretsRow, table=True):
    """A connection that runtimes must forget."""

    __tablename__ = "tombstones"

    connection_id: str = Field(primary_key=True, max_length=32)
    workspace_id: str = Field(max_length=32, index=True)
    deleted_at_ms: int = Field(sa_type=BigInteger)


class CreationRow(SecretsRow, table=True):
    """What an idempotency key made. The fingerprint leaves the credential out: a digest of a weak password gives it away."""

    __tablename__ = "creations"

    workspace_id: str = Field(primary_key=True, max_length=32)
    idempotency_key: str = Field(primary_key=True)
    connection_id: str = Field(max_length=32)
    fingerprint: bytes = Field(sa_type=LargeBinary)


class StateRow(SecretsRow, table=True):
    __tablename__ = "states"

    workspace_id: str = Field(primary_key=True, max_length=32)
    changes: int = Field(sa_type=BigInteger)
    # Those changes after which nobody may go on with the connections as they were.
    revocations: int = Field(default=0, sa_type=BigInteger)


class IssueRow(SecretsRow, table=True):
    """The version of the newest bundle that was issued to a runtime."""

    __tablename__ = "issues"

    runtime_id: str = Field(primary_key=True, max_length=32)
    last_version: int = Field(sa_type=BigInteger)


class BundleRow(SecretsRow, table=True):
    __tablename__ = "bundles"

    runtime_id: str = Field(primary_key=True, max_length=32)
    version: int = Field(primary_key=True, sa_type=BigInteger)
    digest: bytes = Field(sa_type=LargeBinary)
    expires_at_ms: int = Field(sa_type=BigInteger)
    # The workspace that enrolled the runtime.
    home: str = Field(max_length=32)
    # JSON object: each workspace whose connections it held, with the workspace's count of changes at that time.
    holds: str
    # The same of their counts of revocations.
    revocations: str


class SharerRow(SecretsRow, table=True):
    """A workspace that synchronised its connections with a runtime."""

    __tablename__ = "sharers"

    home: str = Field(primary_key=True, max_length=32)
    runtime_id: str = Field(primary_key=True, max_length=32)
    workspace_id: str = Field(primary_key=True, max_length=32)
    asked_at_ms: int = Field(sa_type=BigInteger)


METADATA = SecretsRow.metadata
