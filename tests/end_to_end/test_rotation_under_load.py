"""Every service's key is rotated while cells run without a pause: none fails, none waits for a restart, and a stolen key is out for each role."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import MemoryStore, Platform, RunState, RuntimeSession
from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.signing import unverified
from spinapis.envelope.v1 import attach_pb2, receipt_pb2, run_pb2, trust_pb2
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.every_method import OPTIONS, every_method, reason_of
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.key_rotation import rotate
from tests.fakes.stolen_keys import Sealer, forged, granted, key_store, now_ms, program_for, service_token, stolen

ROLES = ("auth", "compiler", "secrets", "audit", "workspace")
# Cells that must have run after a rotation before the next one.
AFTER = 5
PATIENCE_S = 120
METHODS = {method.name: method for method in every_method()}


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
                if not await opened.settle():
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


async def test_cells_run_on_while_each_key_is_rotated(running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace) -> None:
    sessions = [await new_session(owner, workspace.id, title=f"Load {number}") for number in range(2)]
    store = key_store(running.settings)
    async with load(owner, sessions) as cells:
        await cells.ran(AFTER)
        for role in (*ROLES, *ROLES):
            before = store.root().version
            await asyncio.to_thread(rotate, running.settings, role)
            await cells.ran(AFTER)
            assert cells.failed == [], role
            assert key_store(running.settings).root().version == before + 1
            store = key_store(running.settings)
    assert cells.failed == []
