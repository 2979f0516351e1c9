"""Connections say when their credential expires."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connections", sa.Column("expires_at_ms", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("connections", "expires_at_ms")
