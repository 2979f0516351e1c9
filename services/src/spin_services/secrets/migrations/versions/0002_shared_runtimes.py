"""Bundles remember what they held; runtimes, which workspaces use them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Bundles of before hold nothing that is known of, so each runtime gets a new one at its next synchronisation.
    op.add_column("bundles", sa.Column("home", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("bundles", sa.Column("holds", sa.String(), nullable=False, server_default="{}"))
    op.create_table(
        "sharers",
        sa.Column("home", sa.String(length=32), nullable=False),
        sa.Column("runtime_id", sa.String(length=32), nullable=False),
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("asked_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("home", "runtime_id", "workspace_id"),
    )


def downgrade() -> None:
    op.drop_table("sharers")
    op.drop_column("bundles", "holds")
    op.drop_column("bundles", "home")
