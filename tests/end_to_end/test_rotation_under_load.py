"""Every service's key is rotated while cells run without a pause: none fails, and none waits for a restart."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, RunState, RuntimeSession
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.hand_client import new_session
from tests.fakes.key_rotation import rotate
from tests.fakes.stolen_keys import key_store

ROLES = ("auth", "compiler", "secrets", "audit", "workspace")
# Cells that must have run after a rotation before the next one.
AFTER = 3
PATIENCE_S = 120


@dataclass
class Load:
    """Cells one after another in one session, and sessions one after another."""

    done: int = 0
    failed: list[str] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def cells(self, platform: Platform, session: notebooks_pb2.Session) -> None:
        for turn in itertools.count():
            async with await RuntimeSession.of(platform, session) as opened:
                for place in range(4):
                    cell = notebooks_pb2.Cell(id=f"load-{turn}-{place}", cell_type="python", source="print('fine')")
                    states = [event async for event in opened.run(cell) if isinstance(event, RunState)]
                    if not states[-1].ok:
                        self.failed.append(repr(states[-1]))
                    self.done += 1
                    self._more.set()
                if not await opened.settle(PATIENCE_S):
                    self.failed.append("receipts that nobody acknowledged")

    async def ran(self, more: int) -> None:
        wanted = self.done + more
        async with asyncio.timeout(PATIENCE_S):
            while self.done < wanted and not self.failed:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def load(platform: Platform, sessions: list[notebooks_pb2.Session]) -> AsyncIterator[Load]:
    """Raises what a cell raised."""
    running = Load()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(running.cells(platform, session)) for session in sessions]
        yield running
        for task in tasks:
            task.cancel()


@pytest.mark.timeout(300)
async def test_cells_run_on_while_each_key_is_rotated(running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace) -> None:
    sessions = [await new_session(owner, workspace.id, title=f"Load {number}") for number in range(2)]
    store = key_store(running.settings)
    async with load(owner, sessions) as cells:
        await cells.ran(AFTER)
        for role in ROLES:
            before = store.root().version
            await asyncio.to_thread(rotate, running.settings, role)
            await cells.ran(AFTER)
            assert cells.failed == [], role
            assert key_store(running.settings).root().version == before + 1
            store = key_store(running.settings)
    assert cells.failed == []
