"""Finds the log that tells of a session, a run or a runtime of a workspace: its own, or that of the parent which enrolled the runtime.

- A run belongs to the workspace of its session, as the compiler logged it. Another workspace's run is unknown here, wherever it is logged.
- Beyond a workspace's own log only the logs above it are looked at; a sibling's, and those of strangers, are never.
"""

from spin_services.audit.history_reader import HistoryReader
from spin_services.audit.identities import Identities
from spin_services.audit.lines import Lines
from spin_services.audit.log_reader import LogHandle, LogReader
from spin_services.audit.run_store import Row


class SessionLogs:
    def __init__(self, reader: LogReader, history: HistoryReader, lines: Lines, identities: Identities) -> None:
        self._reader = reader
        self._history = history
        self._lines = lines
        self._identities = identities

    async def home(self, workspace_id: str, runtime_id: str) -> str:
        """The workspace whose log holds a runtime's receipts; without a runtime, the workspace itself. Raises NOT_FOUND, SIGNATURE_INVALID."""
        return (await self._identities.of(workspace_id, runtime_id)).home if runtime_id else workspace_id

    async def of_session(self, workspace_id: str, session_id: str) -> LogHandle | None:
        """The log that holds what ran in a session of the workspace; where nothing did, the workspace's own."""
        own = await self._reader.log(workspace_id)
        if own is not None and await self._history.has_session([own.log_id], workspace_id, session_id):
            return own
        above = {log.log_id: log for log in await self._above(workspace_id)}
        found = await self._history.has_session(list(above), workspace_id, session_id) if above else None
        return above[found] if found is not None else own

    async def of_run(self, workspace_id: str, run_id: str) -> tuple[LogHandle, Row] | None:
        """A run of the workspace's own sessions, and the log that tells of it."""
        own = await self._reader.log(workspace_id)
        for log in [own] if own is not None else []:
            if (run := await self._history.run(log, workspace_id, run_id)) is not None:
                return log, run
        for log in await self._above(workspace_id):
            if (run := await self._history.run(log, workspace_id, run_id)) is not None:
                return log, run
        return None

    async def all_of(self, workspace_id: str) -> tuple[LogHandle | None, list[LogHandle]]:
        """The workspace's own log, and those above it."""
        return await self._reader.log(workspace_id), await self._above(workspace_id)

    async def _above(self, workspace_id: str) -> list[LogHandle]:
        return await self._reader.logs(await self._lines.above(workspace_id))
