"""Connections name who may use and manage them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connections", sa.Column("grants", sa.String(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("connections", "grants")
