"""The rows of runs, inside a log transaction that holds the workspace's lock."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from spin_envelope.chain import START, OutputChain
from spin_services.audit.domain import CompiledProgram, Draft, RunId, compiled_program, pseudonym
from spin_services.audit.log_store import Head, LogTransaction
from spin_services.audit.tables import OUTPUTS, RUNS

Row = dict[str, Any]
# What receipts and outputs change; the rest of a row is written once.
CHANGING = (
    "started_at_ms",
    "started_index",
    "ended_at_ms",
    "ended_index",
    "heard_at_ms",
    "status",
    "truncated",
    "reject_reason",
    "operations",
    "frames",
    "output_digest",
    "frames_stored",
    "chain",
    "outputs_verified",
    "outputs_expired",
    "settled",
    "alarmed",
)
_EMPTY: Row = {
    "workspace_id": "",
    "session_id": "",
    "notebook_id": "",
    "cell_id": "",
    "cell_type": "",
    "pseudonym": "",
    "compiled_index": None,
    "compiled_at_ms": 0,
    "started_at_ms": 0,
    "started_index": None,
    "ended_at_ms": 0,
    "ended_index": None,
    "status": 0,
    "truncated": False,
    "reject_reason": "",
    "operations": b"",
    "frames": 0,
    "output_digest": b"",
    "frames_stored": 0,
    "chain": START,
    "outputs_verified": False,
    "outputs_expired": False,
    "settled": False,
    "alarmed": False,
}


def new_run(log_id: int, run_id: RunId, **values: Any) -> Row:
    return {
        **_EMPTY,
        "log_id": log_id,
        "run_id": str(run_id),
        "boot_id": run_id.boot_id,
        "kernel_epoch": run_id.kernel_epoch,
        "seq": run_id.seq,
        **values,
    }


def record_compiled(transaction: LogTransaction, workspace_id: str, placed: Iterable[tuple[int, Draft]], now_ms: int) -> None:
    """Opens a run for each "program.compiled" entry that is new."""
    programs = [(index, compiled_program(draft.body)) for index, draft in placed if draft.type == "program.compiled"]
    if programs:
        head = transaction.lock(workspace_id)
        rows = [_compiled_row(head, index, program, now_ms) for index, program in programs]
        insert_runs(transaction, rows)


def _compiled_row(head: Head, index: int, program: CompiledProgram, now_ms: int) -> Row:
    return new_run(
        head.log_id,
        program.run_id,
        workspace_id=program.workspace_id or head.workspace_id,
        program_digest=program.program_digest,
        session_id=program.session_id,
        notebook_id=program.notebook_id,
        cell_id=program.cell_id,
        cell_type=program.cell_type,
        runtime_id=program.runtime_id,
        pseudonym=pseudonym(head.pseudonym_key, program.user_id),
        first_index=index,
        compiled_index=index,
        compiled_at_ms=now_ms,
        heard_at_ms=now_ms,
    )


def insert_runs(transaction: LogTransaction, rows: Sequence[Row]) -> None:
    dialect = postgresql if transaction.connection.dialect.name == "postgresql" else sqlite
    transaction.connection.execute(dialect.insert(RUNS).on_conflict_do_nothing(), list(rows))


def load_runs(transaction: LogTransaction, log_id: int, run_ids: Sequence[str]) -> dict[str, Row]:
    query = select(RUNS).where(RUNS.c.log_id == log_id, RUNS.c.run_id.in_(run_ids))
    return {row["run_id"]: dict(row) for row in (transaction.connection.execute(query)).mappings()}


def workspace_of(transaction: LogTransaction, head: Head, session_id: str) -> str:
    """Where a run belongs that nobody compiled: with the session's other runs, else to the log's own workspace."""
    query = select(RUNS.c.workspace_id).where(RUNS.c.log_id == head.log_id, RUNS.c.session_id == session_id).limit(1)
    found = transaction.connection.execute(query).scalar_one_or_none() if session_id else None
    return str(found) if found is not None else head.workspace_id


def save_runs(transaction: LogTransaction, rows: Iterable[Row]) -> None:
    changed = [{"of_log": row["log_id"], "of_run": row["run_id"], **{name: row[name] for name in CHANGING}} for row in rows]
    if changed:
        statement = update(RUNS).where(RUNS.c.log_id == bindparam("of_log"), RUNS.c.run_id == bindparam("of_run"))
        transaction.connection.execute(statement.values({name: bindparam(name) for name in CHANGING}), changed)


def never_started(transaction: LogTransaction, log_id: int, runtime_id: str, of: Mapping[str, Any], before_seq: int | None = None) -> list[Row]:
    """Runs of a boot (or of one kernel, before a seq) that no receipt speaks of."""
    query = select(RUNS).where(
        RUNS.c.log_id == log_id, RUNS.c.runtime_id == runtime_id, RUNS.c.started_index.is_(None), RUNS.c.ended_index.is_(None), ~RUNS.c.settled
    )
    for name, value in of.items():
        query = query.where(RUNS.c[name] == value)
    if before_seq is not None:
        query = query.where(RUNS.c.seq < before_seq)
    return [dict(row) for row in (transaction.connection.execute(query)).mappings()]


def drop_unsigned_outputs(transaction: LogTransaction, row: Row) -> None:
    """Cut the stored outputs of a lost run where its runtime's last word on them ends; the caller saves the row.

    A runtime that died signs, at its next start, the count of its last receipt; clients had more of the outputs by then, which nobody can prove.
    """
    mine = (OUTPUTS.c.log_id == row["log_id"], OUTPUTS.c.run_id == row["run_id"])
    transaction.connection.execute(delete(OUTPUTS).where(*mine, OUTPUTS.c.output_index > row["frames"]))
    chain = OutputChain()
    for kind, body in transaction.connection.execute(select(OUTPUTS.c.kind, OUTPUTS.c.body).where(*mine).order_by(OUTPUTS.c.output_index)):
        chain.append(kind, body)
    row.update(frames_stored=chain.frames, chain=chain.digest)


def forget_outputs(transaction: LogTransaction, row: Row) -> None:
    """Throw away what is stored of a run's outputs, so that it can be brought again."""
    transaction.connection.execute(delete(OUTPUTS).where(OUTPUTS.c.log_id == row["log_id"], OUTPUTS.c.run_id == row["run_id"]))
    row.update(frames_stored=0, chain=START, outputs_verified=False)
