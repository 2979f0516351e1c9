"""Workspaces that were deleted, and whether their connections were erased."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("deleted_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("erased_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id"),
    )


def downgrade() -> None:
    op.drop_table("erasures")
