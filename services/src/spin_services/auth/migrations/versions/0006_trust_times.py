"""How long a runtime's trust lasts, the identities that it had before, and pairings that replace one."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runtimes", sa.Column("trust_expires_at_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("runtimes", sa.Column("runs_until_ms", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("runtimes", sa.Column("former_keys", sa.String(), nullable=False, server_default=""))
    op.add_column("pairings", sa.Column("again", sa.Boolean(), nullable=False, server_default=sa.false()))
