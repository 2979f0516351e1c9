"""Rows of the audit service.

- `entries` and `tiles` are append-only; an entry's body and salt may be erased, its leaf never.
- Every table but one hangs on `logs.id`, a small number, so that the indexes of a big log stay small. Logs are never deleted, so the tables
  that grow fast do without foreign keys, which PostgreSQL would look up for every row.
- Who a pseudonym stands for is in `people` alone: deleting that row forgets the person and changes no leaf.
"""

from typing import cast

from sqlalchemy import BigInteger, Index, LargeBinary, Table, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class AuditRow(SQLModel, registry=registry()):
    """Keeps audit's tables in a metadata of their own: the services may share a process."""


class LogRow(AuditRow, table=True):
    __tablename__ = "logs"

    id: int | None = Field(default=None, primary_key=True)
    workspace_id: str = Field(max_length=32, unique=True)
    size: int = Field(sa_type=BigInteger)
    last_time_ms: int = Field(sa_type=BigInteger)
    pseudonym_key: bytes = Field(sa_type=LargeBinary)


class EntryRow(AuditRow, table=True):
    __tablename__ = "entries"
    __table_args__ = (
        UniqueConstraint("log_id", "idempotency_key"),
        Index("entries_by_type", "log_id", "type", "entry_index"),
        Index("entries_by_person", "log_id", "pseudonym", "entry_index"),
    )

    log_id: int = Field(primary_key=True)
    entry_index: int = Field(primary_key=True, sa_type=BigInteger)
    idempotency_key: str
    type: str
    time_ms: int = Field(sa_type=BigInteger)
    pseudonym: str
    leaf: bytes = Field(sa_type=LargeBinary)
    salt: bytes | None = Field(default=None, sa_type=LargeBinary)
    body: str | None = None
    receipt: bytes | None = Field(default=None, sa_type=LargeBinary)


class SubjectRow(AuditRow, table=True):
    __tablename__ = "subjects"
    __table_args__ = {"sqlite_with_rowid": False}

    log_id: int = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    entry_index: int = Field(primary_key=True, sa_type=BigInteger)


class TileRow(AuditRow, table=True):
    __tablename__ = "tiles"
    __table_args__ = {"sqlite_with_rowid": False}

    log_id: int = Field(primary_key=True)
    level: int = Field(primary_key=True)
    tile_index: int = Field(primary_key=True, sa_type=BigInteger)
    hashes: bytes = Field(sa_type=LargeBinary)


class PersonRow(AuditRow, table=True):
    __tablename__ = "people"

    log_id: int = Field(primary_key=True, foreign_key="logs.id")
    pseudonym: str = Field(primary_key=True)
    user_id: str


class ChainRow(AuditRow, table=True):
    """How far a runtime's receipts are durable without a gap: what a ReceiptAck says."""

    __tablename__ = "chains"

    log_id: int = Field(primary_key=True, foreign_key="logs.id")
    runtime_id: str = Field(primary_key=True, max_length=32)
    last_seq: int = Field(sa_type=BigInteger)
    last_digest: bytes = Field(sa_type=LargeBinary)
    boot_id: str


class ReceiptRow(AuditRow, table=True):
    """A receipt that was seen; `held` carries its bytes while a gap keeps it out of the log."""

    __tablename__ = "receipts"

    log_id: int = Field(primary_key=True, foreign_key="logs.id")
    runtime_id: str = Field(primary_key=True, max_length=32)
    receipt_seq: int = Field(primary_key=True, sa_type=BigInteger)
    digest: bytes = Field(sa_type=LargeBinary)
    held: bytes | None = Field(default=None, sa_type=LargeBinary)


class RunRow(AuditRow, table=True):
    __tablename__ = "runs"
    __table_args__ = (
        Index("runs_by_session", "log_id", "session_id", "first_index"),
        Index("runs_by_kernel", "log_id", "boot_id", "kernel_epoch", "seq"),
        Index("runs_open", "settled", "alarmed", "heard_at_ms"),
        Index("runs_unkept", "outputs_expired", "heard_at_ms"),
    )

    log_id: int = Field(primary_key=True, foreign_key="logs.id")
    run_id: str = Field(primary_key=True)
    boot_id: str = Field(max_length=32)
    kernel_epoch: int = Field(sa_type=BigInteger)
    seq: int = Field(sa_type=BigInteger)
    # The session's; the log is that of the runtime's home, which may be above it.
    workspace_id: str = Field(max_length=32)
    session_id: str
    notebook_id: str
    cell_id: str
    cell_type: str
    runtime_id: str
    pseudonym: str
    program_digest: bytes = Field(sa_type=LargeBinary)
    # Position in the session's timeline: the first entry that speaks of the run.
    first_index: int = Field(sa_type=BigInteger)
    compiled_index: int | None = Field(default=None, sa_type=BigInteger)
    started_index: int | None = Field(default=None, sa_type=BigInteger)
    ended_index: int | None = Field(default=None, sa_type=BigInteger)
    compiled_at_ms: int = Field(default=0, sa_type=BigInteger)
    started_at_ms: int = Field(default=0, sa_type=BigInteger)
    ended_at_ms: int = Field(default=0, sa_type=BigInteger)
    # When audit last heard of the run, by audit's own clock.
    heard_at_ms: int = Field(sa_type=BigInteger)
    status: int = 0
    truncated: bool = False
    reject_reason: str = ""
    # A serialized envelope.v1.Receipt that holds `operations` alone.
    operations: bytes = Field(default=b"", sa_type=LargeBinary)
    frames: int = Field(default=0, sa_type=BigInteger)
    output_digest: bytes = Field(default=b"", sa_type=LargeBinary)
    frames_stored: int = Field(default=0, sa_type=BigInteger)
    chain: bytes = Field(default=b"", sa_type=LargeBinary)
    outputs_verified: bool = False
    outputs_expired: bool = False
    # Nothing more is expected: ended with its outputs verified, rejected, or never started.
    settled: bool = False
    # An alarm says that something is overdue; the next news of the run takes this back.
    alarmed: bool = False


class OutputRow(AuditRow, table=True):
    __tablename__ = "outputs"

    log_id: int = Field(primary_key=True)
    run_id: str = Field(primary_key=True)
    output_index: int = Field(primary_key=True, sa_type=BigInteger)
    kind: int
    body: bytes = Field(sa_type=LargeBinary)


class AlarmRow(AuditRow, table=True):
    __tablename__ = "alarms"
    __table_args__ = (UniqueConstraint("log_id", "type", "runtime_id", "cause"), Index("alarms_by_run", "log_id", "run_id"))

    id: int | None = Field(default=None, primary_key=True)
    log_id: int = Field(foreign_key="logs.id")
    type: str
    runtime_id: str
    run_id: str
    # What the alarm is about, so that the same thing raises one alarm: a run's id, or a receipt_seq.
    cause: str
    text: str
    raised_at_ms: int = Field(sa_type=BigInteger)
    cleared_at_ms: int = Field(default=0, sa_type=BigInteger)


class ConnectionUseRow(AuditRow, table=True):
    """When a connection was last used in a workspace or below. Its key is no log's: a child's runs use its parents' connections."""

    __tablename__ = "connection_uses"
    __table_args__ = {"sqlite_with_rowid": False}

    workspace_id: str = Field(primary_key=True, max_length=32)
    connection_id: str = Field(primary_key=True, max_length=32)
    used_at_ms: int = Field(sa_type=BigInteger)


def _table(row: type[AuditRow]) -> Table:
    return cast("Table", row.__table__)  # type: ignore[attr-defined]  # SQLModel adds it to table classes


METADATA = LogRow.metadata
LOGS = _table(LogRow)
ENTRIES = _table(EntryRow)
SUBJECTS = _table(SubjectRow)
TILES = _table(TileRow)
PEOPLE = _table(PersonRow)
CHAINS = _table(ChainRow)
RECEIPTS = _table(ReceiptRow)
RUNS = _table(RunRow)
OUTPUTS = _table(OutputRow)
ALARMS = _table(AlarmRow)
CONNECTION_USES = _table(ConnectionUseRow)
