"""Whose runs were granted for each start of a kernel."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kernel_principals",
        sa.Column("workspace_id", sa.String(), primary_key=True),
        sa.Column("runtime_id", sa.String(), primary_key=True),
        sa.Column("boot_id", sa.String(), primary_key=True),
        sa.Column("kernel_epoch", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.String(), primary_key=True),
        sa.Column("actor_chain", sa.String(), primary_key=True),
    )
