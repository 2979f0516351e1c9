"""Runs know the workspace of their session, which may be below the one that logs them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("workspace_id", sa.String(length=32), nullable=False, server_default=""))
    # Until now a run could only be told of in its own workspace's log.
    op.execute("UPDATE runs SET workspace_id = (SELECT logs.workspace_id FROM logs WHERE logs.id = runs.log_id)")


def downgrade() -> None:
    op.drop_column("runs", "workspace_id")
