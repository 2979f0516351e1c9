"""kill -9 of each process in the middle of a run that prints quickly, one process at a time.

It comes back by itself, what was acknowledged is still there, the log verifies, and the person at the client learns how the run ended.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import psutil
import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Output, Platform, Run, RunState, RuntimeSession, Status
from spinapis.audit.v1 import audit_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.extra_runtime import ExtraRuntime
from tests.fakes.hand_client import new_session
from tests.fakes.history import open_alarms, proved, runs_of, until

LINES = 4000
PRINTING = f"import time\nfor i in range({LINES}):\n    print(f'line {{i:06d}}', flush=True)\n    time.sleep(0.0005)"
EVERY_LINE = "".join(f"line {i:06d}\n" for i in range(LINES))
COMES_BACK_S = 40.0


async def all_gone(processes: Iterable[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def cell(source: str) -> notebooks_pb2.Cell:
    return notebooks_pb2.Cell(id="printing", cell_type="python", source=source)


def text_of(output: Output) -> str:
    return str(output.content.get("text", "")) if output.kind.name == "STREAM" else ""


async def followed(run: Run, after: int, strike: Callable[[], Awaitable[None]]) -> tuple[str, RunState]:
    """All that the run printed, and how it ended for its client; strikes once when so many lines have come."""
    printed, struck = "", False
    async with run, asyncio.timeout(90):
        async for event in run:
            if isinstance(event, Output):
                printed += text_of(event)
            if not struck and printed.count("\n") >= after:
                struck = True
                await strike()
    assert run.final is not None and struck
    return printed, run.final


async def exported(owner: Platform, workspace_id: str) -> list[bytes]:
    """The log's lines but the first, which has the checkpoint."""
    request = audit_pb2.ExportLogRequest(workspace_id=workspace_id)
    return b"".join([part.lines async for part in owner.log.ExportLog(request)]).splitlines()[1:]


async def came_back(running: RunningPlatform, name: str, old: int) -> None:
    async def look() -> bool:
        try:
            return running.child(name).pid != old
        except (LookupError, psutil.NoSuchProcess):
            return False

    await until(look, COMES_BACK_S)


async def calm(owner: Platform, session: notebooks_pb2.Session) -> None:
    """No alarm about the session's runs stays open."""
    mine = {run.id for run in await runs_of(owner, session)}

    async def look() -> bool:
        return not [alarm for alarm in await open_alarms(owner, session.workspace_id) if alarm.run_id in mine or alarm.type == "receipt.gap"]

    await until(look, 30)


async def works(session: RuntimeSession) -> None:
    states = [event async for event in session.run(cell("print('fine')")) if isinstance(event, RunState)]
    assert states[-1].ok, states[-1]
    assert await session.settle()


@pytest.fixture
async def fresh(owner: Platform, workspace: workspaces_pb2.Workspace) -> notebooks_pb2.Session:
    """A session of the test's own, with nothing unacknowledged from before."""
    return await new_session(owner, workspace.id, title="Fault")


@pytest.mark.parametrize("name", ["services", "gateway"])
async def test_the_control_plane_is_killed_in_the_middle_of_a_run(
    running: RunningPlatform, owner: Platform, fresh: notebooks_pb2.Session, name: str
) -> None:
    """The run does not notice: code runs between client and runtime, and the carriers wait."""
    async with await RuntimeSession.of(owner, fresh) as session:
        await works(session)
        before, victim = await exported(owner, fresh.workspace_id), running.child(name)

        async def strike() -> None:
            victim.kill()

        printed, end = await followed(await session.start(cell(PRINTING)), 500, strike)
        assert end.ok
        assert printed == EVERY_LINE
        await came_back(running, name, victim.pid)
        assert await session.settle(60)
        await works(session)
    after = await exported(owner, fresh.workspace_id)
    assert after[: len(before)] == before
    assert all(run.outputs_verified for run in await runs_of(owner, fresh))
    await proved(owner, fresh.workspace_id)
    await calm(owner, fresh)


@pytest.mark.parametrize("name", ["runtime", "broker", "launcher", "server"])
async def test_a_process_of_the_runtime_is_killed_in_the_middle_of_a_run(
    running: RunningPlatform, owner: Platform, fresh: notebooks_pb2.Session, name: str
) -> None:
    """Its supervisor, its broker, its launcher or its server alone: none of them goes on without the others."""
    async with await RuntimeSession.of(owner, fresh) as session:
        await works(session)
        before, victim = await exported(owner, fresh.workspace_id), running.child(name)
        family = [running.child("runtime"), *running.child("runtime").children(recursive=True)]

        async def strike() -> None:
            victim.kill()
            await until(lambda: all_gone(family))

        printed, end = await followed(await session.start(cell(PRINTING)), 500, strike)
        assert end.status is Status.LOST
        assert "restarted" in end.message
        assert EVERY_LINE.startswith(printed)
        # The same session object goes on, with the runtime's new boot and a new kernel.
        await works(session)
    after = await exported(owner, fresh.workspace_id)
    assert after[: len(before)] == before

    async def told() -> bool:
        return sorted(Status(run.status).name for run in await runs_of(owner, fresh)) == ["LOST", "OK", "OK"]

    await until(told)
    await proved(owner, fresh.workspace_id)
    await calm(owner, fresh)


async def test_the_kernel_is_killed_in_the_middle_of_a_run(owner: Platform, fresh: notebooks_pb2.Session) -> None:
    async with await RuntimeSession.of(owner, fresh) as session:
        pid = [
            int(text_of(event)) async for event in session.run(cell("import os; print(os.getpid())")) if isinstance(event, Output) and text_of(event)
        ]

        async def strike() -> None:
            os.kill(pid[0], signal.SIGKILL)

        printed, end = await followed(await session.start(cell(PRINTING)), 500, strike)
        assert end.status is Status.KERNEL_DIED
        assert EVERY_LINE.startswith(printed)
        await works(session)
    assert sorted(Status(run.status).name for run in await runs_of(owner, fresh)) == ["KERNEL_DIED", "OK", "OK"]
    assert all(run.outputs_verified for run in await runs_of(owner, fresh))
    await proved(owner, fresh.workspace_id)
    await calm(owner, fresh)


async def test_a_runtime_asked_to_stop_keeps_its_receipts(running: RunningPlatform, owner: Platform, tmp_path: Path) -> None:
    """SIGTERM in the middle of a run, while audit gets nothing: the next start hands over all that was witnessed."""
    runtime = ExtraRuntime(tmp_path, running.settings.service_port_base + 15)
    await runtime.pair(owner, "Sample")
    opened = await new_session(owner, runtime.record.workspace_id, runtime.record.id)
    try:
        async with await RuntimeSession.of(owner, opened) as session:
            await works(session)
            run = await session.start(cell("import time\nprint('begun')\ntime.sleep(300)"))

            async def strike() -> None:
                assert runtime.stop() == 0
                runtime.start(runtime.token, SPIN_STOP_GRACE_S="1")

            printed, end = await followed(run, 1, strike)
            assert printed == "begun\n"
            assert end.status in (Status.INTERRUPTED, Status.LOST)
            await works(session)
        found = {Status(run.status).name for run in await runs_of(owner, opened)}
        assert found <= {"OK", "INTERRUPTED", "ERROR"} and len(found) == 2, found
        await proved(owner, opened.workspace_id)
        await calm(owner, opened)
    finally:
        runtime.stop()
