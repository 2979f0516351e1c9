"""Takes in the outputs of runs, and gives them back.

- Outputs are consecutive from 1. What is there already must be equal; what comes after a hole is not taken, and the answer says where to go on.
- Late outputs (index 0) are not chained, so nobody can prove them: they are not kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select

from spin_envelope.chain import OutputChain
from spin_services.audit import alarms
from spin_services.audit.alarms import clear_alarms, raise_alarms
from spin_services.audit.history_store import judge_run, mismatch_alarm
from spin_services.audit.log_store import LogStore, LogTransaction
from spin_services.audit.receipts import Outputs
from spin_services.audit.run_store import Row, load_runs, save_runs
from spin_services.audit.tables import OUTPUTS
from spinapis.envelope.v1.receipt_pb2 import RunStatus


@dataclass(frozen=True, slots=True)
class Output:
    index: int
    kind: int
    body: bytes


class RunUnknown(Exception):
    """No such run of that workspace and runtime."""


class OutputsRefused(Exception):
    """The outputs contradict what is stored, or what the runtime signed."""


class OutputStore:
    def __init__(self, store: LogStore) -> None:
        self._store = store

    async def take(self, home: str, workspace_id: str, runtime_id: str, run_id: str, outputs: Sequence[Output], now_ms: int) -> int:
        """Store consecutive outputs of a workspace's run; how many are stored without a gap. `home` is whose log tells of the run.

        Raises RunUnknown, OutputsRefused.
        """
        chained = [output for output in outputs if output.index]

        def work(transaction: LogTransaction) -> tuple[int, bool]:
            head = transaction.lock(home)
            run = load_runs(transaction, head.log_id, [run_id]).get(run_id)
            if run is None or (run["workspace_id"], run["runtime_id"]) != (workspace_id, runtime_id):
                raise RunUnknown
            if run["outputs_expired"]:
                return int(run["frames"]), False
            _check_repeated(transaction, run, chained)
            refused = _extend(transaction, home, run, chained, now_ms)
            save_runs(transaction, [run])
            return int(run["frames_stored"]), refused

        stored, refused = await self._store.run(work)
        if refused:
            # After the commit: the alarm stays whatever the caller is told.
            raise OutputsRefused
        return stored


def _check_repeated(transaction: LogTransaction, run: Row, outputs: Sequence[Output]) -> None:
    repeated = {output.index: (output.kind, output.body) for output in outputs if output.index <= run["frames_stored"]}
    if not repeated:
        return
    query = select(OUTPUTS.c.output_index, OUTPUTS.c.kind, OUTPUTS.c.body).where(
        OUTPUTS.c.log_id == run["log_id"],
        OUTPUTS.c.run_id == run["run_id"],
        OUTPUTS.c.output_index >= min(repeated),
        OUTPUTS.c.output_index <= max(repeated),
    )
    for index, kind, body in (transaction.connection.execute(query)).tuples():
        if repeated.get(index, (kind, body)) != (kind, body):
            raise OutputsRefused


def _extend(transaction: LogTransaction, home: str, run: Row, outputs: Sequence[Output], now_ms: int) -> bool:
    """Chain and store what follows; True when that shows the outputs to be wrong."""
    chain = OutputChain(run["frames_stored"], run["chain"])
    rows = []
    # Of a run that died with its runtime, what the runtime never came to sign is not kept.
    last = run["frames"] if run["status"] == RunStatus.RUN_STATUS_LOST else None
    for output in outputs:
        if output.index == chain.frames + 1 and (last is None or output.index <= last):
            chain.append(output.kind, output.body)
            rows.append({"log_id": run["log_id"], "run_id": run["run_id"], "output_index": output.index, "kind": output.kind, "body": output.body})
    if not rows:
        return False
    if run["settled"] and (run["ended_index"] is not None or run["reject_reason"]):
        # The runtime's own count is reached already: it never said more.
        raise OutputsRefused
    transaction.connection.execute(insert(OUTPUTS), rows)
    run.update(frames_stored=chain.frames, chain=chain.digest, heard_at_ms=now_ms, alarmed=False)
    return run["ended_index"] is not None and _settle(transaction, home, run, now_ms)


def _settle(transaction: LogTransaction, home: str, run: Row, now_ms: int) -> bool:
    """Compare with the end receipt; True on a mismatch."""
    verdict = judge_run(transaction, run)
    if verdict is Outputs.MISMATCH:
        raise_alarms(transaction, home, [mismatch_alarm(run)], now_ms)
    if verdict is Outputs.VERIFIED:
        types = (alarms.OUTPUTS_MISSING, alarms.OUTPUTS_MISMATCH)
        clear_alarms(transaction, home, types, now_ms, runtime_id=run["runtime_id"], causes=[run["run_id"]])
    return verdict is Outputs.MISMATCH
