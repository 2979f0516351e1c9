"""Connections that may be exposed, and those whose credential a secret manager holds."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connections", sa.Column("exposable", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("connections", sa.Column("references_json", sa.String(), nullable=False, server_default=""))
