"""Group commit: callers that append at the same time share one transaction.

- While one transaction commits, the next one's requests gather; so a lone caller waits for nobody, and sixty-four wait for one sync.
- A caller is answered after the commit, never before.
- When a shared transaction fails, each request is tried alone: one that cannot be stored fails its own caller only.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from spin_services.audit.domain import Draft
from spin_services.audit.log_store import LogStore, LogTransaction
from spin_services.audit.run_store import record_compiled

BATCH_ENTRIES = 4096

log = structlog.get_logger("spin.audit")


@dataclass(frozen=True, slots=True)
class _Request:
    workspace_id: str
    drafts: Sequence[Draft]
    answer: asyncio.Future[list[int]]


class Appender:
    """Run `run()` as a background task; `append` may be called from any number of tasks."""

    def __init__(self, store: LogStore, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[_Request] = []
        self._wake = asyncio.Event()

    async def append(self, workspace_id: str, drafts: Sequence[Draft]) -> list[int]:
        """The drafts' indexes in the workspace's log, once they are durable."""
        answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(workspace_id, drafts, answer))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._take():
                    await self._write(batch)
        finally:
            for request in self._waiting:
                request.answer.cancel()

    def _take(self) -> list[_Request]:
        taken = 0
        entries = 0
        for request in self._waiting:
            if taken and entries + len(request.drafts) > BATCH_ENTRIES:
                break
            taken += 1
            entries += len(request.drafts)
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return [request for request in batch if not request.answer.done()]

    async def _write(self, batch: Sequence[_Request]) -> None:
        try:
            answers = await self._commit(batch)
        except Exception as failure:
            if len(batch) > 1:
                log.warning("append_retried_singly", requests=len(batch), failure=type(failure).__name__)
                for request in batch:
                    await self._write([request])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(failure)
            return
        for request, indexes in zip(batch, answers, strict=True):
            if not request.answer.done():
                request.answer.set_result(indexes)

    async def _commit(self, batch: Sequence[_Request]) -> list[list[int]]:
        now_ms = self._clock()
        by_workspace: dict[str, list[int]] = {}
        for place, request in enumerate(batch):
            by_workspace.setdefault(request.workspace_id, []).append(place)

        def work(transaction: LogTransaction) -> list[list[int]]:
            answers: list[list[int]] = [[] for _ in batch]
            for workspace_id in sorted(by_workspace):
                places = by_workspace[workspace_id]
                drafts = [draft for place in places for draft in batch[place].drafts]
                appended = transaction.append(workspace_id, drafts, now_ms)
                record_compiled(transaction, workspace_id, appended.new, now_ms)
                indexes = iter(appended.indexes)
                for place in places:
                    answers[place] = [next(indexes) for _ in batch[place].drafts]
            return answers

        return await self._store.run(work)
