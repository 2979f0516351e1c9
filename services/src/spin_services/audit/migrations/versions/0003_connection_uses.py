"""When connections were last used."""

import sqlalchemy as sa
from alembic import op

from spinapis.envelope.v1.receipt_pb2 import Receipt

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STEP = 1000


def upgrade() -> None:
    uses = op.create_table(
        "connection_uses",
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("connection_id", sa.String(length=32), nullable=False),
        sa.Column("used_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "connection_id"),
        sqlite_with_rowid=False,
    )
    found = _found(op.get_bind())
    rows = [{"workspace_id": place, "connection_id": connection, "used_at_ms": at} for (place, connection), at in sorted(found.items())]
    for start in range(0, len(rows), STEP):
        op.bulk_insert(uses, rows[start : start + STEP])


def _found(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """What earlier runs used. Who is above their workspaces is not known here, but for the home of the runtime, whose log it is."""
    columns = "runs.workspace_id, logs.workspace_id, runs.operations, runs.ended_at_ms"
    found: dict[tuple[str, str], int] = {}
    query = sa.text(f"SELECT {columns} FROM runs JOIN logs ON logs.id = runs.log_id WHERE length(runs.operations) > 0")
    for own, home, operations, at in connection.execute(query):
        for one in Receipt.FromString(bytes(operations)).operations:
            for place in {own, home} if one.count and len(one.connection_id) == 16 else ():
                key = (place, one.connection_id.hex())
                found[key] = max(found.get(key, 0), at)
    return found
