"""Owns the platform's processes: starts them, restarts what dies, stops them all.

A process that dies is started again after a pause that doubles up to 10 s and falls back once it has lived for a minute. Each writes to its own
log file. Processes get their own process group, so that Ctrl-C reaches the supervisor alone and it decides the order in which they stop.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

STOP_TIMEOUT_S = 15.0
FIRST_PAUSE_S, LONGEST_PAUSE_S, CALM_S = 0.2, 10.0, 60.0


@dataclass(frozen=True)
class Program:
    """`ready` returns once the program serves; it is cancelled when that takes longer than `start_timeout_s`."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[], Awaitable[None]]
    start_timeout_s: float = 60.0


class StartFailed(Exception):
    """A program did not come up; the text ends with the last lines of its log."""


@dataclass
class Running:
    program: Program
    log: Path
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[None] | None = None
    restarts: int = 0
    stopping: bool = field(default=False)


class Supervisor:
    def __init__(self, logs: Path, say: Callable[[str], None]) -> None:
        self._logs, self._say = logs, say
        self._running: list[Running] = []

    async def start(self, program: Program) -> None:
        """Returns when the program serves; raises StartFailed."""
        running = Running(program, self._logs / f"{program.name}.log")
        self._running.append(running)
        await self._launch(running)
        try:
            await self._until_ready(running)
        except TimeoutError:
            raise StartFailed(f"{program.name} did not answer within {program.start_timeout_s:.0f} s\n{_tail(running.log)}") from None
        running.keeper = asyncio.create_task(self._keep(running))

    async def stop(self) -> None:
        """Stops everything, last started first."""
        for running in reversed(self._running):
            running.stopping = True
            if running.keeper:
                running.keeper.cancel()
            if running.process and running.process.returncode is None:
                await _end(running.process)

    def pids(self) -> dict[str, int]:
        return {r.program.name: r.process.pid for r in self._running if r.process and r.process.returncode is None}

    async def _launch(self, running: Running) -> None:
        with _open_log(running.log) as log:
            running.process = await asyncio.create_subprocess_exec(
                *running.program.argv,
                env=dict(running.program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )

    async def _until_ready(self, running: Running) -> None:
        assert running.process is not None
        ready = asyncio.ensure_future(running.program.ready())
        died = asyncio.ensure_future(running.process.wait())
        try:
            async with asyncio.timeout(running.program.start_timeout_s):
                await asyncio.wait({ready, died}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                raise StartFailed(f"{running.program.name} ended with status {died.result()}\n{_tail(running.log)}")
            await ready
        finally:
            ready.cancel()
            died.cancel()

    async def _keep(self, running: Running) -> None:
        pause = FIRST_PAUSE_S
        while True:
            assert running.process is not None
            born = time.monotonic()
            status = await running.process.wait()
            if running.stopping:
                return
            pause = FIRST_PAUSE_S if time.monotonic() - born > CALM_S else min(pause * 2, LONGEST_PAUSE_S)
            running.restarts += 1
            self._say(f"{running.program.name} ended with status {status}; starting it again (log: {running.log})")
            await asyncio.sleep(pause)
            await self._launch(running)


async def _end(process: asyncio.subprocess.Process) -> None:
    _signal_group(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _open_log(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def _tail(path: Path, lines: int = 12) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
