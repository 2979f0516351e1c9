"""Which bundles hold what was revoked since."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("states", sa.Column("revocations", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("bundles", sa.Column("revocations", sa.String(), nullable=False, server_default="{}"))
