"""Operations that need an approval."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connections", sa.Column("approval_operations", sa.String(), nullable=False, server_default="[]"))
