"""auth's rows.

Rules: secrets of others (links, refresh tokens, API keys, states) are kept as SHA-256 digests alone; times are Unix milliseconds, 0 where
something has not happened; what convinces anybody about a runtime is the signed document in the row, not the row.
"""

from sqlalchemy import BigInteger, Column, LargeBinary, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

METADATA_REGISTRY = registry()


def _time(default: int = 0) -> int:
    value: int = Field(default=default, sa_type=BigInteger)
    return value


class Table(SQLModel, registry=METADATA_REGISTRY):
    """Base of auth's tables."""


class UserRow(Table, table=True):
    __tablename__ = "users"
    id: str = Field(primary_key=True)
    email: str = Field(unique=True)
    display_name: str = ""
    # argon2id; empty while the person has none.
    password_hash: str = ""
    is_admin: bool = False
    created_at_ms: int = _time()


class IdentityRow(Table, table=True):
    """A person at an OIDC provider."""

    __tablename__ = "identities"
    issuer: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="users.id", index=True)


class SignInLinkRow(Table, table=True):
    __tablename__ = "sign_in_links"
    token_digest: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="users.id", index=True)
    expires_at_ms: int = _time()
    used_at_ms: int = _time()


class SignInRow(Table, table=True):
    """One sign-in: the family of refresh tokens that came from it."""

    __tablename__ = "sign_ins"
    id: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="users.id", index=True)
    created_at_ms: int = _time()
    expires_at_ms: int = _time()
    revoked_at_ms: int = _time()


class RefreshTokenRow(Table, table=True):
    __tablename__ = "refresh_tokens"
    token_digest: str = Field(primary_key=True)
    sign_in_id: str = Field(foreign_key="sign_ins.id", index=True)
    expires_at_ms: int = _time()
    used_at_ms: int = _time()


class AttemptsRow(Table, table=True):
    """Failed passwords of one account, whether or not it exists."""

    __tablename__ = "attempts"
    account: str = Field(primary_key=True)
    failures: int = 0
    last_at_ms: int = _time()
    blocked_until_ms: int = _time()


class OidcStateRow(Table, table=True):
    __tablename__ = "oidc_states"
    state_digest: str = Field(primary_key=True)
    provider_id: str
    nonce: str
    verifier: str
    redirect_uri: str
    expires_at_ms: int = _time()


class MemberRow(Table, table=True):
    __tablename__ = "members"
    workspace_id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True, foreign_key="users.id", index=True)
    role: int
    version: int = 1
    added_at_ms: int = _time()
    idempotency_key: str = ""


class ApiKeyRow(Table, table=True):
    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("workspace_id", "created_by", "idempotency_key"),)
    id: str = Field(primary_key=True)
    workspace_id: str = Field(index=True)
    name: str
    role: int
    secret_digest: str = Field(unique=True)
    created_by: str = Field(foreign_key="users.id")
    # None where the caller gave none, so that such keys do not collide.
    idempotency_key: str | None = None
    created_at_ms: int = _time()
    expires_at_ms: int = _time()
    last_used_at_ms: int = _time()
    revoked_at_ms: int = _time()


class PairingRow(Table, table=True):
    __tablename__ = "pairings"
    workspace_id: str = Field(primary_key=True)
    pairing_id: str = Field(primary_key=True)
    runtime_id: str
    user_id: str
    public_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    # JSON arrays.
    allowed_origins: str = "[]"
    allowed_hosts: str = "[]"
    expires_at_ms: int = _time()
    used_at_ms: int = _time()


class RuntimeRow(Table, table=True):
    __tablename__ = "runtimes"
    workspace_id: str = Field(primary_key=True)
    runtime_id: str = Field(primary_key=True)
    # RuntimeStatus.
    status: int
    # Signed EnrolGrant and RuntimeConfirmation; the latter empty until confirmed.
    enrol_grant: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    grant_digest: str
    confirmation: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    trust_version: int = _time()
    # The highest that a trust state of the runtime ever said.
    min_bundle_version: int = _time()
    enrolled_at_ms: int = _time()
    # Of the newest trust state: when it expires, and until when its grace lasts.
    trust_expires_at_ms: int = _time()
    runs_until_ms: int = _time()


class RunCounterRow(Table, table=True):
    """The last seq given out for one start of one kernel."""

    __tablename__ = "run_counters"
    workspace_id: str = Field(primary_key=True)
    runtime_id: str = Field(primary_key=True)
    boot_id: str = Field(primary_key=True)
    kernel_epoch: int = Field(primary_key=True, sa_type=BigInteger)
    last_seq: int = Field(sa_type=BigInteger)
    used_at_ms: int = _time()


class KernelPrincipalRow(Table, table=True):
    """Somebody whose run was granted for one start of one kernel: their code may be in it until it ends."""

    __tablename__ = "kernel_principals"
    workspace_id: str = Field(primary_key=True)
    runtime_id: str = Field(primary_key=True)
    boot_id: str = Field(primary_key=True)
    kernel_epoch: int = Field(primary_key=True, sa_type=BigInteger)
    user_id: str = Field(primary_key=True)
    # JSON array.
    actor_chain: str = Field(primary_key=True)


class ApprovalRow(Table, table=True):
    """A request for the approval of one run, and what became of it."""

    __tablename__ = "approvals"
    id: str = Field(primary_key=True)
    workspace_id: str = Field(index=True)
    # ApprovalState; that a time is over is not written.
    state: int
    requested_by: str = Field(foreign_key="users.id")
    # JSON array.
    actor_chain: str = "[]"
    # SHA-256 over all that is approved: who, which cell, which uses.
    subject: str = Field(index=True)
    # The serialized RequestApprovalRequest: the cell and its uses as they were asked for.
    request: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    source_digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    decided_by: str = ""
    decision_note: str = ""
    # Signed Approval; empty until approved.
    document: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    requested_at_ms: int = _time()
    decided_at_ms: int = _time()
    expires_at_ms: int = _time()


class WorkspacePolicyRow(Table, table=True):
    """What a workspace's owner decided; there is none where nobody ever did."""

    __tablename__ = "workspace_policies"
    workspace_id: str = Field(primary_key=True)
    # EgressMode; 0 is the parent's.
    egress_mode: int = 0
    # JSON array of patterns.
    egress_hosts: str = "[]"
    trust_grace_ms: int = _time()
    version: int = 0
    updated_at_ms: int = _time()
    updated_by: str = ""
