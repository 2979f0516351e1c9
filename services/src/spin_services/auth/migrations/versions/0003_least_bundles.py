"""The least bundle version of each runtime's trust states."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runtimes", sa.Column("min_bundle_version", sa.BigInteger(), nullable=False, server_default="0"))
