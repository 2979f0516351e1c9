"""Credentials are under versions of their workspace's key."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A migration has no KEK, so credentials of before cannot be encrypted anew: they are entered again.
    op.execute("DELETE FROM credentials")
    op.execute("UPDATE connections SET credential_fields = '[]', version = version + 1")
    op.execute("UPDATE states SET changes = changes + 1")
    op.add_column("credentials", sa.Column("key_version", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index(op.f("ix_credentials_key_version"), "credentials", ["key_version"], unique=False)
    op.create_table(
        "workspace_keys",
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("destroyed_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "version"),
    )
    op.create_table(
        "key_states",
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("current_version", sa.BigInteger(), nullable=False),
        sa.Column("minimum_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id"),
    )


def downgrade() -> None:
    op.drop_table("key_states")
    op.drop_table("workspace_keys")
    op.drop_index(op.f("ix_credentials_key_version"), table_name="credentials")
    op.drop_column("credentials", "key_version")
