"""What a workspace's history says, read as its members read it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from scripts.platform.sample import verified_log
from spin_client.sdk import Platform, RuntimeSession, every_page
from spin_envelope.export import Summary
from spinapis.audit.v1 import audit_pb2
from spinapis.workspace.v1 import notebooks_pb2

T = TypeVar("T")


async def deliver_receipts(platform: Platform, session: notebooks_pb2.Session) -> None:
    """What any honest browser does for the session's runtime: it runs a cell and carries all receipts to audit."""
    async with await RuntimeSession.of(platform, session) as honest:
        async for _ in honest.run(notebooks_pb2.Cell(id="honest", cell_type="python", source="1")):
            pass
        assert await honest.settle()


async def open_alarms(platform: Platform, workspace_id: str) -> list[audit_pb2.Alarm]:
    request = audit_pb2.ListAlarmsRequest(workspace_id=workspace_id, open_only=True)
    return [alarm async for alarm in every_page(platform.history.ListAlarms, request, "alarms")]


async def runs_of(platform: Platform, session: notebooks_pb2.Session) -> list[audit_pb2.Run]:
    request = audit_pb2.ListRunsRequest(workspace_id=session.workspace_id, session_id=session.id)
    return [run async for run in every_page(platform.history.ListRuns, request, "runs")]


async def proved(platform: Platform, workspace_id: str) -> Summary:
    """The whole log, exported and verified; the receipts of every runtime in it follow one on another."""
    summary = await verified_log(platform, workspace_id)
    assert summary.receipt_breaks == 0
    assert summary.receipts_unproved == 0
    return summary


async def until(look: Callable[[], Awaitable[T]], within_s: float = 20.0) -> T:
    """Looks again until there is something to see."""
    async with asyncio.timeout(within_s):
        while not (found := await look()):
            await asyncio.sleep(0.2)
        return found
