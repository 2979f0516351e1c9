"""Reads runs, outputs and alarms. Takes no lock."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, exists, or_, select

from spin_services.audit.log_reader import LogHandle
from spin_services.audit.output_store import Output
from spin_services.audit.run_store import Row
from spin_services.audit.tables import ALARMS, OUTPUTS, PEOPLE, RUNS
from spin_services.audit.transactions import Transactions

# Outputs are read in steps, so that a page that is full after one big output has not read a thousand.
READ_STEP = 64


class HistoryReader:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def has_session(self, log_ids: Sequence[int], workspace_id: str, session_id: str) -> int | None:
        """Which of the logs tells of a run in a session of the workspace."""
        query = select(RUNS.c.log_id).where(RUNS.c.log_id.in_(log_ids), RUNS.c.session_id == session_id, RUNS.c.workspace_id == workspace_id)
        return await self._transactions.read(lambda connection: connection.execute(query.limit(1)).scalar_one_or_none())

    async def runs(self, log: LogHandle, workspace_id: str, session_id: str, after: int, limit: int) -> list[Row]:
        """The runs in a session of the workspace in the log's order, from after an entry's index on; each with the user's id as `user_id`."""
        person = and_(PEOPLE.c.log_id == RUNS.c.log_id, PEOPLE.c.pseudonym == RUNS.c.pseudonym)
        query = select(RUNS, PEOPLE.c.user_id).select_from(RUNS.outerjoin(PEOPLE, person))
        query = query.where(RUNS.c.log_id == log.log_id, RUNS.c.session_id == session_id, RUNS.c.first_index > after)
        query = query.where(RUNS.c.workspace_id == workspace_id)
        return await self._rows(query.order_by(RUNS.c.first_index).limit(limit))

    async def run(self, log: LogHandle, workspace_id: str, run_id: str) -> Row | None:
        """A run of the workspace's own sessions."""
        query = select(RUNS).where(RUNS.c.log_id == log.log_id, RUNS.c.run_id == run_id, RUNS.c.workspace_id == workspace_id)
        rows = await self._rows(query)
        return rows[0] if rows else None

    async def outputs(self, log: LogHandle, run_id: str, after: int, limit: int, max_bytes: int) -> list[Output]:
        """Outputs after an index: at most `limit`, and `max_bytes` of bodies unless the first alone is bigger."""
        page: list[Output] = []
        size = 0
        while len(page) < limit:
            step = await self._outputs(log, run_id, page[-1].index if page else after, min(READ_STEP, limit - len(page)))
            for output in step:
                size += len(output.body) + 16
                if page and size > max_bytes:
                    return page
                page.append(output)
            if len(step) < READ_STEP:
                break
        return page

    async def _outputs(self, log: LogHandle, run_id: str, after: int, limit: int) -> list[Output]:
        query = select(OUTPUTS.c.output_index, OUTPUTS.c.kind, OUTPUTS.c.body).where(
            OUTPUTS.c.log_id == log.log_id, OUTPUTS.c.run_id == run_id, OUTPUTS.c.output_index > after
        )
        query = query.order_by(OUTPUTS.c.output_index).limit(limit)
        return [Output(*row) for row in await self._transactions.read(lambda connection: connection.execute(query).all())]

    async def alarms(
        self, own: LogHandle | None, above: Sequence[LogHandle], workspace_id: str, before: int, open_only: bool, limit: int
    ) -> list[Row]:
        """Of the workspace's log, and about its runs in the logs above. Newest first, below a row id; 0 starts at the newest."""
        about = and_(RUNS.c.log_id == ALARMS.c.log_id, RUNS.c.run_id == ALARMS.c.run_id, RUNS.c.workspace_id == workspace_id)
        inherited = and_(ALARMS.c.log_id.in_([log.log_id for log in above]), exists().where(about))
        query = select(ALARMS).where(or_(ALARMS.c.log_id == (own.log_id if own is not None else -1), inherited))
        if before:
            query = query.where(ALARMS.c.id < before)
        if open_only:
            query = query.where(ALARMS.c.cleared_at_ms == 0)
        return await self._rows(query.order_by(ALARMS.c.id.desc()).limit(limit))

    async def _rows(self, query: Any) -> list[Row]:
        return [dict(row) for row in await self._transactions.read(lambda connection: connection.execute(query).mappings().all())]
