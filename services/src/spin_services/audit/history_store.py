"""Takes in receipts and outputs, each upload in one log transaction.

- A receipt goes into the log in the transaction that moves its runtime's chain: an acknowledgement never says more than the log does.
- Outputs are taken on trust until the end receipt is there, and thrown away when they do not hash to it: whoever has the true ones can bring them.
- Alarms are committed even when the upload that caused them is refused: the refusal is the caller's, the evidence is the log's.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import and_, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from spin_envelope.signing import unverified
from spin_services.audit import alarms
from spin_services.audit.alarms import Alarm, clear_alarms, open_causes, raise_alarms
from spin_services.audit.domain import Draft
from spin_services.audit.exposures import exposure, newly_read
from spin_services.audit.log_store import Head, LogStore, LogTransaction
from spin_services.audit.receipts import Chain, Outputs, Plan, SignedReceipt, concerns, judge_outputs, plan_upload, run_changes, run_id_of, type_name
from spin_services.audit.run_store import (
    Row,
    drop_unsigned_outputs,
    forget_outputs,
    insert_runs,
    load_runs,
    never_started,
    new_run,
    save_runs,
    workspace_of,
)
from spin_services.audit.tables import CHAINS, RECEIPTS
from spin_services.audit.uses import Place, gather, keep
from spinapis.envelope.v1.receipt_pb2 import Receipt, ReceiptType, RunStatus
from spinapis.envelope.v1.trust_pb2 import TrustPhase

# Bounds what one upload holds in memory; the rest of a long held stretch follows with the next upload.
HELD_PER_UPLOAD = 2000


@dataclass(frozen=True, slots=True)
class ReceiptsTaken:
    chain: Chain
    # Number of the first receipt that contradicts the chain; 0 when none does.
    fork_seq: int


class ReceiptStore:
    def __init__(self, store: LogStore) -> None:
        self._store = store

    async def take(
        self, workspace_id: str, runtime_id: str, uploaded: Sequence[SignedReceipt], lines: Mapping[str, Sequence[str]], now_ms: int
    ) -> ReceiptsTaken:
        """Store an upload; the answer's chain is durable. `lines` are those of the workspaces whose runs used connections."""
        return await self._store.run(lambda tx: _Upload(tx, tx.lock(workspace_id), runtime_id, lines, now_ms).take(uploaded))


class _Upload:
    """One upload of one runtime's receipts."""

    def __init__(self, transaction: LogTransaction, head: Head, runtime_id: str, lines: Mapping[str, Sequence[str]], now_ms: int) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._head = head
        self._runtime_id = runtime_id
        self._now_ms = now_ms
        self._lines = lines
        self._uses: dict[Place, int] = {}
        self._raised: list[Alarm] = []
        self._cleared: set[str] = set()
        self._exposures: list[Draft] = []

    def take(self, uploaded: Sequence[SignedReceipt]) -> ReceiptsTaken:
        before = self._chain()
        known = self._known([receipt.seq for receipt in uploaded])
        plan = plan_upload(before, known, self._held(before), uploaded)
        self._apply(plan, before.boot_id)
        self._keep(plan, known)
        self._raise_for_chain(plan)
        self._settle_alarms(plan)
        keep(self._connection, self._uses)
        return ReceiptsTaken(plan.chain, plan.forks[0].seq if plan.forks else 0)

    def _chain(self) -> Chain:
        query = select(CHAINS.c.last_seq, CHAINS.c.last_digest, CHAINS.c.boot_id).where(*self._mine(CHAINS))
        row = (self._connection.execute(query)).one_or_none()
        return Chain(*row) if row is not None else Chain()

    def _mine(self, table: Any) -> tuple[Any, Any]:
        return table.c.log_id == self._head.log_id, table.c.runtime_id == self._runtime_id

    def _known(self, seqs: Sequence[int]) -> dict[int, bytes]:
        query = select(RECEIPTS.c.receipt_seq, RECEIPTS.c.digest).where(*self._mine(RECEIPTS), RECEIPTS.c.receipt_seq.in_(seqs))
        return dict((self._connection.execute(query)).tuples().all())

    def _held(self, chain: Chain) -> list[SignedReceipt]:
        query = select(RECEIPTS.c.digest, RECEIPTS.c.held).where(*self._mine(RECEIPTS), RECEIPTS.c.receipt_seq > chain.last_seq)
        rows = (self._connection.execute(query.order_by(RECEIPTS.c.receipt_seq).limit(HELD_PER_UPLOAD))).tuples()
        return [SignedReceipt(unverified(data, Receipt), digest, data) for digest, data in rows]

    def _apply(self, plan: Plan, boot_id: str) -> None:
        """Log what was accepted, and tell the runs."""
        run_ids = sorted({str(run_id) for one in plan.accepted if (run_id := run_id_of(one.receipt))})
        runs = load_runs(self._transaction, self._head.log_id, run_ids)
        drafts = [_draft(one, self._runtime_id, runs.get(str(run_id_of(one.receipt)))) for one in plan.accepted]
        appended = self._transaction.append(self._head.workspace_id, drafts, self._now_ms)
        for one, index in zip(plan.accepted, appended.indexes, strict=True):
            if one.receipt.type == ReceiptType.RECEIPT_TYPE_BOOT:
                self._booted(one.receipt.boot_id.hex(), boot_id, runs)
                boot_id = one.receipt.boot_id.hex()
            elif run_id_of(one.receipt) is not None:
                self._heard(one, index, runs)
        if self._exposures:
            self._transaction.append(self._head.workspace_id, self._exposures, self._now_ms)
        save_runs(self._transaction, runs.values())

    def _heard(self, one: SignedReceipt, index: int, runs: dict[str, Row]) -> None:
        run_id = run_id_of(one.receipt)
        assert run_id is not None
        key = str(run_id)
        if key not in runs:
            runs[key] = self._unlogged(one, index)
            insert_runs(self._transaction, [runs[key]])
        run = runs[key]
        known = run["compiled_index"] is not None
        if not known or (run["runtime_id"], run["program_digest"]) != (self._runtime_id, one.receipt.program_digest):
            self._alarm(alarms.UNKNOWN_PROGRAM, key, "The runtime tells of a program that was never logged.", one, run)
            if known:
                self._exposed(one, run, b"")
                return
        if not concerns(one.receipt, run):
            return
        if known:
            gather(self._uses, one.receipt, self._line(run["workspace_id"]), self._now_ms)
        self._exposed(one, run, run["operations"])
        run.update(run_changes(one.receipt, index, run), heard_at_ms=self._now_ms, alarmed=False)
        if one.receipt.type == ReceiptType.RECEIPT_TYPE_START:
            kernel = {"boot_id": run["boot_id"], "kernel_epoch": run["kernel_epoch"]}
            self._dropped(never_started(self._transaction, self._head.log_id, self._runtime_id, kernel, run["seq"]), runs)
        if run["ended_index"] is not None:
            self._cleared.add(key)
            self._judge(run)

    def _exposed(self, one: SignedReceipt, run: Row, known: bytes) -> None:
        read = newly_read(one.receipt, known)
        self._exposures += [exposure(one, self._runtime_id, run, connection_id, count) for connection_id, count in read.items()]

    def _line(self, workspace_id: str) -> Sequence[str]:
        """What is between the workspace and the runtime's home may be missing: of one that was deleted, and of a receipt held back until now."""
        home = self._head.workspace_id
        return self._lines.get(workspace_id) or list(dict.fromkeys([workspace_id, *self._lines.get(home, [home])]))

    def _unlogged(self, one: SignedReceipt, index: int) -> Row:
        run_id = run_id_of(one.receipt)
        assert run_id is not None
        return new_run(
            self._head.log_id,
            run_id,
            workspace_id=workspace_of(self._transaction, self._head, one.receipt.session_id.hex()),
            session_id=one.receipt.session_id.hex(),
            runtime_id=self._runtime_id,
            program_digest=one.receipt.program_digest,
            first_index=index,
            heard_at_ms=self._now_ms,
        )

    def _judge(self, run: Row) -> None:
        verdict = judge_run(self._transaction, run)
        if verdict is Outputs.MISMATCH:
            self._raised.append(mismatch_alarm(run))

    def _booted(self, boot_id: str, before: str, runs: dict[str, Row]) -> None:
        if before and before != boot_id:
            self._dropped(never_started(self._transaction, self._head.log_id, self._runtime_id, {"boot_id": before}), runs)

    def _dropped(self, rows: Sequence[Row], runs: dict[str, Row]) -> None:
        """Runs that the runtime will never start: nothing is missing any more."""
        # The rows are as the database has them; a receipt of this same upload may have spoken of one meanwhile.
        dropped = [row for row in rows if runs.get(row["run_id"], row)["started_index"] is None and not runs.get(row["run_id"], row)["reject_reason"]]
        for row in dropped:
            runs.get(row["run_id"], row)["settled"] = True
            row["settled"] = True
            self._cleared.add(row["run_id"])
        save_runs(self._transaction, dropped)

    def _keep(self, plan: Plan, known: dict[int, bytes]) -> None:
        new_held = [one for one in plan.held if one.seq not in known]
        accepted = [self._receipt_row(one, None) for one in plan.accepted]
        rows = accepted + [self._receipt_row(one, one.data) for one in new_held]
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        if rows:
            statement = dialect.insert(RECEIPTS)
            changed = {"held": statement.excluded.held, "digest": statement.excluded.digest}
            self._connection.execute(statement.on_conflict_do_update(index_elements=["log_id", "runtime_id", "receipt_seq"], set_=changed), rows)
        for one in plan.forks:
            if one.seq > plan.chain.last_seq:
                held = and_(*self._mine(RECEIPTS), RECEIPTS.c.receipt_seq == one.seq, RECEIPTS.c.digest == one.digest)
                self._connection.execute(delete(RECEIPTS).where(held))
        if plan.accepted:
            values = {"last_seq": plan.chain.last_seq, "last_digest": plan.chain.last_digest, "boot_id": plan.chain.boot_id}
            upsert = dialect.insert(CHAINS).on_conflict_do_update(index_elements=["log_id", "runtime_id"], set_=values)
            self._connection.execute(upsert, {"log_id": self._head.log_id, "runtime_id": self._runtime_id, **values})

    def _receipt_row(self, one: SignedReceipt, held: bytes | None) -> dict[str, Any]:
        return {"log_id": self._head.log_id, "runtime_id": self._runtime_id, "receipt_seq": one.seq, "digest": one.digest, "held": held}

    def _raise_for_chain(self, plan: Plan) -> None:
        for one in plan.forks:
            self._alarm(alarms.FORK, str(one.seq), f"The runtime signed two different histories from receipt {one.seq} on.", one, None)
        if plan.gap is not None:
            first, last = plan.gap
            text = f"Receipts {first} to {last} are missing." if first <= last else f"What follows receipt {first - 1} does not name it."
            self._raised.append(Alarm(alarms.GAP, self._runtime_id, str(first), text))

    def _alarm(self, alarm_type: str, cause: str, text: str, one: SignedReceipt, run: Row | None) -> None:
        run_id = str(run_id_of(one.receipt) or "")
        session_id = run["session_id"] if run is not None else one.receipt.session_id.hex()
        evidence = base64.b64encode(one.data).decode()
        self._raised.append(Alarm(alarm_type, self._runtime_id, cause, text, run_id=run_id, session_id=session_id, evidence=evidence))

    def _settle_alarms(self, plan: Plan) -> None:
        workspace_id = self._head.workspace_id
        causes = open_causes(self._transaction, workspace_id, alarms.GAP, self._runtime_id)
        filled = [cause for cause in causes if int(cause) <= plan.chain.last_seq]
        for types, done in (([alarms.GAP], filled), ([alarms.END_MISSING], sorted(self._cleared))):
            if done:
                clear_alarms(self._transaction, workspace_id, types, self._now_ms, runtime_id=self._runtime_id, causes=done)
        raise_alarms(self._transaction, workspace_id, self._raised, self._now_ms)


def judge_run(transaction: LogTransaction, run: Row) -> Outputs:
    """Compare an ended run's stored outputs with its end receipt, and keep or throw them away accordingly; the caller saves the row."""
    if run["reject_reason"]:
        return Outputs.VERIFIED
    if run["status"] == RunStatus.RUN_STATUS_LOST and run["frames_stored"] > run["frames"]:
        drop_unsigned_outputs(transaction, run)
    verdict = judge_outputs(run["frames_stored"], run["chain"], run["frames"], run["output_digest"])
    if verdict is Outputs.VERIFIED:
        run.update(outputs_verified=True, settled=True)
    elif verdict is Outputs.MISMATCH:
        forget_outputs(transaction, run)
    return verdict


def mismatch_alarm(run: Row) -> Alarm:
    text = "The outputs that were uploaded are not those that the runtime signed; they were thrown away."
    return Alarm(alarms.OUTPUTS_MISMATCH, run["runtime_id"], run["run_id"], text, run_id=run["run_id"], session_id=run["session_id"])


def _draft(one: SignedReceipt, runtime_id: str, run: Row | None) -> Draft:
    receipt, run_id = one.receipt, run_id_of(one.receipt)
    session_id = receipt.session_id.hex() or (run["session_id"] if run is not None else "")
    subjects = [f"runtime:{runtime_id}"] + [f"session:{session_id}"] * bool(session_id) + [f"run:{run_id}"] * bool(run_id)
    body: dict[str, Any] = {"receipt_seq": one.seq, "boot_id": receipt.boot_id.hex(), "runtime_id": runtime_id, "time_ms": receipt.time_ms}
    if receipt.trust_phase not in (TrustPhase.TRUST_PHASE_UNSPECIFIED, TrustPhase.TRUST_PHASE_FRESH):
        # The control plane did not vouch for the runtime then.
        body["trust"] = TrustPhase.Name(receipt.trust_phase).removeprefix("TRUST_PHASE_").lower()
    if run_id is not None:
        body |= {"run_id": str(run_id), "program_digest": receipt.program_digest.hex(), "frames": receipt.frames}
    if receipt.status:
        body |= {"status": RunStatus.Name(receipt.status), "truncated": receipt.truncated, "output_digest": receipt.output_digest.hex()}
    if receipt.reason:
        body["reason"] = receipt.reason
    return Draft(
        key=f"receipt:{runtime_id}:{one.seq}",
        type=type_name(receipt),
        user_id="",
        subjects=tuple(subjects),
        body=orjson.dumps(body).decode(),
        receipt=one.data,
        receipt_digest=one.digest,
        pseudonym=run["pseudonym"] if run is not None else "",
    )
