"""What time does: ends and outputs that are overdue raise alarms; outputs past their retention lose their bodies.

Several replicas may sweep at once: each works under the log's lock and looks at the rows again there, so that the second one finds nothing to do.
"""

import asyncio
from collections.abc import Callable, Sequence

import orjson
import structlog
from sqlalchemy import ColumnElement, select

from spin_services.audit import alarms
from spin_services.audit.alarms import Alarm, raise_alarms
from spin_services.audit.domain import Draft
from spin_services.audit.log_store import LogStore, LogTransaction
from spin_services.audit.run_store import Row, forget_outputs, load_runs, save_runs
from spin_services.audit.settings import Settings
from spin_services.audit.tables import LOGS, RUNS
from spin_services.audit.transactions import Transactions

BATCH = 200

log = structlog.get_logger("spin.audit")


class Sweeps:
    def __init__(self, transactions: Transactions, store: LogStore, settings: Settings, clock: Callable[[], int]) -> None:
        self._transactions = transactions
        self._store = store
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        """For ever; a sweep that fails is logged and tried again at the next turn."""
        while True:
            try:
                await self.once()
            except Exception as failure:
                log.exception("sweep_failed", failure=type(failure).__name__)
            await asyncio.sleep(self._settings.sweep_s)

    async def once(self) -> None:
        now_ms = self._clock()
        overdue = now_ms - self._settings.end_grace_s * 1000
        while found := await self._find(~RUNS.c.settled, ~RUNS.c.alarmed, RUNS.c.heard_at_ms < overdue):
            for workspace_id, run_ids in found.items():
                await self._raise(workspace_id, run_ids, overdue, now_ms)
        expired = now_ms - self._settings.output_retention_ms
        while found := await self._find(~RUNS.c.outputs_expired, RUNS.c.heard_at_ms < expired):
            for workspace_id, run_ids in found.items():
                await self._expire(workspace_id, run_ids, expired, now_ms)

    async def _find(self, *conditions: ColumnElement[bool]) -> dict[str, list[str]]:
        query = select(LOGS.c.workspace_id, RUNS.c.run_id).join_from(RUNS, LOGS, LOGS.c.id == RUNS.c.log_id).where(*conditions).limit(BATCH)
        found: dict[str, list[str]] = {}
        for workspace_id, run_id in await self._transactions.read(lambda connection: connection.execute(query).tuples().all()):
            found.setdefault(workspace_id, []).append(run_id)
        return found

    async def _raise(self, workspace_id: str, run_ids: Sequence[str], overdue: int, now_ms: int) -> None:
        def work(transaction: LogTransaction) -> None:
            runs = load_runs(transaction, transaction.lock(workspace_id).log_id, run_ids)
            rows = [row for row in runs.values() if row["heard_at_ms"] < overdue and not row["settled"]]
            raise_alarms(transaction, workspace_id, [overdue_alarm(row) for row in rows], now_ms)
            for row in rows:
                row["alarmed"] = True
            save_runs(transaction, rows)

        await self._store.run(work)

    async def _expire(self, workspace_id: str, run_ids: Sequence[str], expired: int, now_ms: int) -> None:
        def work(transaction: LogTransaction) -> None:
            runs = load_runs(transaction, transaction.lock(workspace_id).log_id, run_ids)
            rows = [row for row in runs.values() if row["heard_at_ms"] < expired]
            kept = sorted(row["run_id"] for row in rows if row["frames_stored"])
            for row in rows:
                verified, stored = row["outputs_verified"], row["frames_stored"]
                forget_outputs(transaction, row)
                row.update(outputs_expired=True, settled=True, outputs_verified=verified, frames_stored=stored)
            save_runs(transaction, rows)
            if kept:
                self._log_expiry(transaction, workspace_id, kept, now_ms)

        await self._store.run(work)

    def _log_expiry(self, transaction: LogTransaction, workspace_id: str, run_ids: Sequence[str], now_ms: int) -> None:
        body = orjson.dumps({"runs": run_ids, "retention_days": self._settings.output_retention_days}).decode()
        key = f"outputs:expired:{transaction.lock(workspace_id).size}"
        draft = Draft(key, "outputs.expired", "", tuple(f"run:{run_id}" for run_id in run_ids), body)
        transaction.append(workspace_id, [draft], now_ms)


def overdue_alarm(run: Row) -> Alarm:
    """What is missing of a run that audit has not heard of for too long."""
    if run["ended_index"] is not None:
        text = f"The run ended, and only {run['frames_stored']} of its {run['frames']} outputs were uploaded."
        kind = alarms.OUTPUTS_MISSING
    elif run["started_index"] is not None:
        text = "The run started, and no receipt tells of its end."
        kind = alarms.END_MISSING
    else:
        text = "The program was compiled, and no receipt tells what became of it."
        kind = alarms.END_MISSING
    return Alarm(kind, run["runtime_id"], run["run_id"], text, run_id=run["run_id"], session_id=run["session_id"])
