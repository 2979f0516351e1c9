"""The log, receipts, runs, outputs and alarms."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "entries",
        sa.Column("log_id", sa.Integer(), nullable=False),
        sa.Column("entry_index", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("pseudonym", sa.String(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.String(), nullable=True),
        sa.Column("receipt", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("log_id", "entry_index"),
        sa.UniqueConstraint("log_id", "idempotency_key"),
    )
    op.create_index("entries_by_person", "entries", ["log_id", "pseudonym", "entry_index"], unique=False)
    op.create_index("entries_by_type", "entries", ["log_id", "type", "entry_index"], unique=False)
    op.create_table(
        "logs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("last_time_ms", sa.BigInteger(), nullable=False),
        sa.Column("pseudonym_key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("workspace_id"),
    )
    op.create_table(
        "outputs",
        sa.Column("log_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("output_index", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "run_id", "output_index"),
    )
    op.create_table(
        "subjects",
        sa.Column("log_id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("entry_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "subject", "entry_index"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tiles",
        sa.Column("log_id", sa.Integer(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("tile_index", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "level", "tile_index"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("log_id", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("runtime_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("raised_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["log_id"],
            ["logs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("log_id", "type", "runtime_id", "cause"),
    )
    op.create_index("alarms_by_run", "alarms", ["log_id", "run_id"], unique=False)
    op.create_table(
        "chains",
        sa.Column("log_id", sa.Integer(), nullable=False),
        sa.Column("runtime_id", sa.String(length=32), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_digest", sa.LargeBinary(), nullable=False),
        sa.Column("boot_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["log_id"],
            ["logs.id"],
        ),
        sa.PrimaryKeyConstraint("log_id", "runtime_id"),
    )
    op.create_table(
        "people",
        sa.Column("log_id", sa.Integer(), nullable=False),
        sa.Column("pseudonym", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["log_id"],
            ["logs.id"],
        ),
        sa.PrimaryKeyConstraint("log_id", "pseudonym"),
    )
    op.create_table(
        "receipts",
        sa.Column("log_id", sa.Integer(), nullable=False),
        sa.Column("runtime_id", sa.String(length=32), nullable=False),
        sa.Column("receipt_seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("held", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["log_id"],
            ["logs.id"],
        ),
        sa.PrimaryKeyConstraint("log_id", "runtime_id", "receipt_seq"),
    )
    op.create_table(
        "runs",
        sa.Column("log_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("boot_id", sa.String(length=32), nullable=False),
        sa.Column("kernel_epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("notebook_id", sa.String(), nullable=False),
        sa.Column("cell_id", sa.String(), nullable=False),
        sa.Column("cell_type", sa.String(), nullable=False),
        sa.Column("runtime_id", sa.String(), nullable=False),
        sa.Column("pseudonym", sa.String(), nullable=False),
        sa.Column("program_digest", sa.LargeBinary(), nullable=False),
        sa.Column("first_index", sa.BigInteger(), nullable=False),
        sa.Column("compiled_index", sa.BigInteger(), nullable=True),
        sa.Column("started_index", sa.BigInteger(), nullable=True),
        sa.Column("ended_index", sa.BigInteger(), nullable=True),
        sa.Column("compiled_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("heard_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("reject_reason", sa.String(), nullable=False),
        sa.Column("operations", sa.LargeBinary(), nullable=False),
        sa.Column("frames", sa.BigInteger(), nullable=False),
        sa.Column("output_digest", sa.LargeBinary(), nullable=False),
        sa.Column("frames_stored", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.Column("outputs_verified", sa.Boolean(), nullable=False),
        sa.Column("outputs_expired", sa.Boolean(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("alarmed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["log_id"],
            ["logs.id"],
        ),
        sa.PrimaryKeyConstraint("log_id", "run_id"),
    )
    op.create_index("runs_by_kernel", "runs", ["log_id", "boot_id", "kernel_epoch", "seq"], unique=False)
    op.create_index("runs_by_session", "runs", ["log_id", "session_id", "first_index"], unique=False)
    op.create_index("runs_open", "runs", ["settled", "alarmed", "heard_at_ms"], unique=False)
    op.create_index("runs_unkept", "runs", ["outputs_expired", "heard_at_ms"], unique=False)


def downgrade() -> None:
    op.drop_index("runs_unkept", table_name="runs")
    op.drop_index("runs_open", table_name="runs")
    op.drop_index("runs_by_session", table_name="runs")
    op.drop_index("runs_by_kernel", table_name="runs")
    op.drop_table("runs")
    op.drop_table("receipts")
    op.drop_table("people")
    op.drop_table("chains")
    op.drop_index("alarms_by_run", table_name="alarms")
    op.drop_table("alarms")
    op.drop_table("tiles")
    op.drop_table("subjects")
    op.drop_table("outputs")
    op.drop_table("logs")
    op.drop_index("entries_by_type", table_name="entries")
    op.drop_index("entries_by_person", table_name="entries")
    op.drop_table("entries")
