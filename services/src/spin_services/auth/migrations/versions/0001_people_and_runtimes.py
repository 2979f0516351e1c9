"""People, sign-ins, members, API keys, runtimes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def time(name: str) -> sa.Column[int]:
    """Unix milliseconds, or another large number."""
    return sa.Column(name, sa.BigInteger(), nullable=False)


def upgrade() -> None:
    people()
    sign_ins()
    members()
    runtimes()


def people() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("email", sa.String(), nullable=False, unique=True),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        time("created_at_ms"),
    )
    op.create_table(
        "identities",
        sa.Column("issuer", sa.String(), primary_key=True),
        sa.Column("subject", sa.String(), primary_key=True),
        sa.Column("user_id", sa.String(), sa.ForeignKey("users.id"), nullable=False, index=True),
    )


def sign_ins() -> None:
    op.create_table(
        "sign_in_links",
        sa.Column("token_digest", sa.String(), primary_key=True),
        sa.Column("user_id", sa.String(), sa.ForeignKey("users.id"), nullable=False, index=True),
        time("expires_at_ms"),
        time("used_at_ms"),
    )
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("user_id", sa.String(), sa.ForeignKey("users.id"), nullable=False, index=True),
        time("created_at_ms"),
        time("expires_at_ms"),
        time("revoked_at_ms"),
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("token_digest", sa.String(), primary_key=True),
        sa.Column("sign_in_id", sa.String(), sa.ForeignKey("sign_ins.id"), nullable=False, index=True),
        time("expires_at_ms"),
        time("used_at_ms"),
    )
    op.create_table(
        "attempts",
        sa.Column("account", sa.String(), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        time("last_at_ms"),
        time("blocked_until_ms"),
    )
    op.create_table(
        "oidc_states",
        sa.Column("state_digest", sa.String(), primary_key=True),
        sa.Column("provider_id", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("verifier", sa.String(), nullable=False),
        sa.Column("redirect_uri", sa.String(), nullable=False),
        time("expires_at_ms"),
    )


def members() -> None:
    op.create_table(
        "members",
        sa.Column("workspace_id", sa.String(), primary_key=True),
        sa.Column("user_id", sa.String(), sa.ForeignKey("users.id"), primary_key=True, index=True),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        time("added_at_ms"),
        sa.Column("idempotency_key", sa.String(), nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), nullable=False, index=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("secret_digest", sa.String(), nullable=False, unique=True),
        sa.Column("created_by", sa.String(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        time("created_at_ms"),
        time("expires_at_ms"),
        time("last_used_at_ms"),
        time("revoked_at_ms"),
        sa.UniqueConstraint("workspace_id", "created_by", "idempotency_key"),
    )


def runtimes() -> None:
    op.create_table(
        "pairings",
        sa.Column("workspace_id", sa.String(), primary_key=True),
        sa.Column("pairing_id", sa.String(), primary_key=True),
        sa.Column("runtime_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("allowed_origins", sa.String(), nullable=False),
        sa.Column("allowed_hosts", sa.String(), nullable=False),
        time("expires_at_ms"),
        time("used_at_ms"),
    )
    op.create_table(
        "runtimes",
        sa.Column("workspace_id", sa.String(), primary_key=True),
        sa.Column("runtime_id", sa.String(), primary_key=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("enrol_grant", sa.LargeBinary(), nullable=False),
        sa.Column("grant_digest", sa.String(), nullable=False),
        sa.Column("confirmation", sa.LargeBinary(), nullable=False),
        time("trust_version"),
        time("enrolled_at_ms"),
    )
    op.create_table(
        "run_counters",
        sa.Column("workspace_id", sa.String(), primary_key=True),
        sa.Column("runtime_id", sa.String(), primary_key=True),
        sa.Column("boot_id", sa.String(), primary_key=True),
        sa.Column("kernel_epoch", sa.BigInteger(), primary_key=True, autoincrement=False),
        time("last_seq"),
        time("used_at_ms"),
    )
