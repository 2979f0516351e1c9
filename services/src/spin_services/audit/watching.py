"""Tells watchers, in this replica and in others, that a log has grown.

A message is a hint to look again; many commits may share one, so that publishing never slows appending.
"""

import asyncio
from collections.abc import AsyncIterator

from spin_services.audit.domain import StoredEntry
from spin_services.audit.log_reader import LogReader
from spin_services.database import Notifier

PAGE = 200


def channel(workspace_id: str) -> str:
    return f"log_{workspace_id}"


class Growth:
    """`grown` is called after commits; `run()` is a background task."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._sizes: dict[str, int] = {}
        self._wake = asyncio.Event()

    def grown(self, sizes: dict[str, int]) -> None:
        self._sizes.update(sizes)
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._sizes:
                workspace_id, size = self._sizes.popitem()
                await self._notifier.publish(channel(workspace_id), str(size))


async def watch(reader: LogReader, notifier: Notifier, workspace_id: str, start: int) -> AsyncIterator[StoredEntry]:
    """Entries from an index on, and then as they come, for ever."""
    async with notifier.subscribe(channel(workspace_id)) as hints:
        while True:
            log = await reader.log(workspace_id)
            while log is not None and (page := await reader.entries_from(log, start, PAGE)):
                for entry in page:
                    yield entry
                start = page[-1].index + 1
            await anext(hints)
