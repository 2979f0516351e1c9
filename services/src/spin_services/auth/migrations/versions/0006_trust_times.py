"""How long a runtime's trust lasts."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runtimes", sa.Column("trust_expires_at_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("runtimes", sa.Column("runs_until_ms", sa.BigInteger(), nullable=False, server_default="0"))
