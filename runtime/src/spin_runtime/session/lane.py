"""Work of one session that must happen in order: receipts, and the lives of kernels. One thing at a time, first come first served."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)
Job = Callable[[], Awaitable[None]]


class Lane:
    def __init__(self, name: str) -> None:
        self._jobs: asyncio.Queue[Job | None] = asyncio.Queue()
        self._worker = asyncio.create_task(self._work(), name=name)

    def put(self, job: Job) -> None:
        self._jobs.put_nowait(job)

    async def close(self) -> None:
        """Returns when all that was put is done."""
        self._jobs.put_nowait(None)
        await self._worker

    async def _work(self) -> None:
        while (job := await self._jobs.get()) is not None:
            try:
                await job()
            except Exception:
                # Jobs answer for the failures they know; one that they do not know must not stop the session.
                log.exception("a session's job failed")
