"""What a workspace's owner decides for everyone in it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workspace_policies",
        sa.Column("workspace_id", sa.String(), primary_key=True),
        sa.Column("egress_mode", sa.Integer(), nullable=False),
        sa.Column("egress_hosts", sa.String(), nullable=False),
        sa.Column("trust_grace_ms", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(), nullable=False),
    )
