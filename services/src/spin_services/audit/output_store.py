"""Takes in the outputs of runs, several runs in one log transaction.

- Outputs are consecutive from 1. What is there already must be equal; what comes after a hole is not taken, and the answer says where to go on.
- Late outputs (index 0) are not chained, so nobody can prove them: they are not kept.
- A run whose outputs are refused changes nothing for the others of the same call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import select

from spin_envelope.chain import OutputChain
from spin_services.audit import alarms
from spin_services.audit.alarms import Alarm, clear_alarms, raise_alarms
from spin_services.audit.history_store import judge_run, mismatch_alarm
from spin_services.audit.log_store import LogStore, LogTransaction
from spin_services.audit.prepared import Insert
from spin_services.audit.receipts import Outputs
from spin_services.audit.run_store import Row, load_runs, save_runs
from spin_services.audit.tables import OUTPUTS
from spinapis.envelope.v1.receipt_pb2 import RunStatus

_INSERT = Insert(OUTPUTS, ("log_id", "run_id", "output_index", "kind", "body"))


@dataclass(frozen=True, slots=True)
class Output:
    index: int
    kind: int
    body: bytes


class Verdict(Enum):
    """What became of one run's outputs."""

    TAKEN = "taken"
    # No such run of that workspace and runtime.
    UNKNOWN = "unknown"
    # They contradict what is stored, or what the runtime signed.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Taken:
    verdict: Verdict
    # How many are stored without a gap.
    stored: int = 0


class OutputStore:
    def __init__(self, store: LogStore) -> None:
        self._store = store

    async def take(self, home: str, workspace_id: str, runtime_id: str, runs: Mapping[str, Sequence[Output]], now_ms: int) -> list[Taken]:
        """Store consecutive outputs of a workspace's runs; what became of each, in the same order. `home` is whose log tells of the runs."""

        def work(transaction: LogTransaction) -> list[Taken]:
            upload = _Upload(transaction, home, now_ms)
            return upload.take({"workspace_id": workspace_id, "runtime_id": runtime_id}, runs)

        return await self._store.run(work)


class _Upload:
    """Outputs of several runs of one runtime."""

    def __init__(self, transaction: LogTransaction, home: str, now_ms: int) -> None:
        self._transaction = transaction
        self._home = home
        self._head = transaction.lock(home)
        self._now_ms = now_ms
        self._new: list[tuple[int, str, int, int, bytes]] = []

    def take(self, of: Row, outputs: Mapping[str, Sequence[Output]]) -> list[Taken]:
        runs = load_runs(self._transaction, self._head.log_id, list(outputs))
        runs = {run_id: run for run_id, run in runs.items() if all(run[name] == value for name, value in of.items())}
        refused = {run_id for run_id, run in runs.items() if not run["outputs_expired"] and not self._extend(run, outputs[run_id])}
        _INSERT(self._transaction.connection, self._new)
        changed = [runs[run_id] for run_id in dict.fromkeys(row[1] for row in self._new)]
        # An alarm stays, whatever the caller is told.
        refused |= self._settle([run for run in changed if run["ended_index"] is not None])
        save_runs(self._transaction, changed)
        return [_taken(runs.get(run_id), run_id in refused) for run_id in outputs]

    def _extend(self, run: Row, outputs: Sequence[Output]) -> bool:
        """Chain what follows; False when it contradicts what is known."""
        chained = [output for output in outputs if output.index]
        if not _repeats(self._transaction, run, chained):
            return False
        chain = OutputChain(run["frames_stored"], run["chain"])
        rows = []
        # Of a run that died with its runtime, what the runtime never came to sign is not kept.
        last = run["frames"] if run["status"] == RunStatus.RUN_STATUS_LOST else None
        for output in chained:
            if output.index == chain.frames + 1 and (last is None or output.index <= last):
                chain.append(output.kind, output.body)
                rows.append((run["log_id"], run["run_id"], output.index, output.kind, output.body))
        if not rows:
            return True
        if run["settled"] and (run["ended_index"] is not None or run["reject_reason"]):
            # The runtime's own count is reached already: it never said more.
            return False
        self._new += rows
        run.update(frames_stored=chain.frames, chain=chain.digest, heard_at_ms=self._now_ms, alarmed=False)
        return True

    def _settle(self, ended: Sequence[Row]) -> set[str]:
        """Compare with the end receipts; the runs whose outputs are others."""
        verdicts = {run["run_id"]: judge_run(self._transaction, run) for run in ended}
        mismatched = [run for run in ended if verdicts[run["run_id"]] is Outputs.MISMATCH]
        raised: list[Alarm] = [mismatch_alarm(run) for run in mismatched]
        raise_alarms(self._transaction, self._home, raised, self._now_ms)
        verified = [run_id for run_id, verdict in verdicts.items() if verdict is Outputs.VERIFIED]
        if verified:
            types, runtime_id = (alarms.OUTPUTS_MISSING, alarms.OUTPUTS_MISMATCH), ended[0]["runtime_id"]
            clear_alarms(self._transaction, self._home, types, self._now_ms, runtime_id=runtime_id, causes=verified)
        return {run["run_id"] for run in mismatched}


def _taken(run: Row | None, refused: bool) -> Taken:
    if run is None:
        return Taken(Verdict.UNKNOWN)
    if refused:
        return Taken(Verdict.REFUSED)
    return Taken(Verdict.TAKEN, int(run["frames"] if run["outputs_expired"] else run["frames_stored"]))


def _repeats(transaction: LogTransaction, run: Row, outputs: Sequence[Output]) -> bool:
    """False when what is stored already is something else."""
    repeated = {output.index: (output.kind, output.body) for output in outputs if output.index <= run["frames_stored"]}
    if not repeated:
        return True
    query = select(OUTPUTS.c.output_index, OUTPUTS.c.kind, OUTPUTS.c.body).where(
        OUTPUTS.c.log_id == run["log_id"],
        OUTPUTS.c.run_id == run["run_id"],
        OUTPUTS.c.output_index >= min(repeated),
        OUTPUTS.c.output_index <= max(repeated),
    )
    stored = (transaction.connection.execute(query)).tuples()
    return all(repeated.get(index, (kind, body)) == (kind, body) for index, kind, body in stored)
