"""Kernels ready before they are asked for.

A spare is a started kernel of the default kind that waits in a directory of its own, which becomes the session's when it is taken. A session that
has files already keeps its directory, and its owner: its kernel starts when it is asked for. The next spare starts a little later, so that it
does not compete with the first cell.

A spare has its network, or none, from its start; which hosts an allow-list names counts from when it is taken. Spares are of the mode that was last
asked for, and at first of the most that the runtime gives.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import zmq

from spin_runtime.egress.policy import Cap, mode_of
from spin_runtime.kernels.api import KernelStartFailed, SpecInfo
from spin_runtime.kernels.jupyter import JupyterKernel
from spin_runtime.kernels.launch import Launcher
from spin_runtime.kernels.unstarted import not_started
from spin_runtime.launcher.client import LauncherClient
from spin_runtime.launcher.folders import SPARE
from spin_runtime.launcher.rules import EGRESS_OPEN
from spinapis.envelope.v1.attach_pb2 import EgressPolicy

DEFAULT_KERNEL = "python3"
REFILL_AFTER_S = 2.0
log = structlog.get_logger(__name__)


class JupyterPool:
    def __init__(
        self, environment: Mapping[str, str], work: Path, spares: int, kind: str, cap: Cap, launcher: LauncherClient, default: str = DEFAULT_KERNEL
    ) -> None:
        """`work` is the folder in which the launcher makes sessions' own."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        # The kernel binds: try again soon, and never let ZeroMQ drop on our side.
        for option, value in ((zmq.RECONNECT_IVL, 5), (zmq.RCVHWM, 0), (zmq.SNDHWM, 0), (zmq.LINGER, 0)):
            self._context.setsockopt(option, value)
        self._launcher = Launcher(environment, kind, launcher, self._context)
        self._kind, self._cap, self._spare_egress = kind, cap, cap.given(None)
        self._work = work
        self._wanted, self.default = spares, default
        self.spares: list[JupyterKernel] = []
        self._refill: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    def specs(self) -> Sequence[SpecInfo]:
        found: dict[str, Any] = self._launcher.specs.get_all_specs()
        return [SpecInfo(name, entry["spec"]["display_name"], entry["spec"]["language"]) for name, entry in sorted(found.items())]

    def given(self, egress: EgressPolicy | None) -> EgressPolicy:
        return self._cap.given(egress)

    async def begin(self) -> None:
        """Raises IsolationUnavailable when this machine cannot isolate kernels as was asked for."""
        await self._launcher.begin()
        log.info("kernels are isolated", kind=self._kind, mechanisms=list(self._launcher.client.mechanisms))

    def start(self) -> None:
        """Begins to make the spares."""
        self._refill_after(0)

    async def take(self, kernel_name: str, workdir: Path, egress: EgressPolicy | None = None) -> JupyterKernel:
        name, given = kernel_name or self.default, self.given(egress)
        await self._check(name, given)
        if name == self.default and not _holds_files(workdir):
            self._spare_egress = given
            while self.spares:
                spare = self.spares.pop(0)
                self._refill_after(REFILL_AFTER_S)
                if spare.alive and mode_of(spare.egress) == mode_of(given) and await spare.moved_to(workdir):
                    spare.give(given)
                    return spare
                self._end_aside(spare)
        self._known(name)
        return await self._started(name, workdir, given)

    def _known(self, name: str) -> None:
        if name not in self._launcher.specs.find_kernel_specs():
            raise LookupError(name)

    async def _check(self, name: str, egress: EgressPolicy) -> None:
        """Raises EgressRefused where the kernel would reach more than it may. The disk is not asked for an open one."""
        if mode_of(egress) != EGRESS_OPEN:
            self._known(name)
            await self._launcher.check(name, egress)

    async def _started(self, name: str, workdir: Path, egress: EgressPolicy) -> JupyterKernel:
        await self._check(name, egress)
        try:
            await self._launcher.client.folder(workdir.name)
            launched = await self._launcher.launch(name, workdir, egress)
        except (OSError, RuntimeError) as error:
            log.warning("a kernel's process could not be started", kernel=name, error=str(error))
            raise KernelStartFailed(not_started(name, str(error))) from error
        kernel = JupyterKernel(name, launched)
        try:
            await kernel.ready()
        except BaseException as error:
            log.warning("a kernel did not come up", kernel=name, error=str(error), stderr=kernel.error_tail())
            await kernel.kill()
            await kernel.stop()
            raise
        return kernel

    def _end_aside(self, spare: JupyterKernel) -> None:
        """Nobody waits for it."""
        task = asyncio.create_task(_ended(spare))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _refill_after(self, seconds: float) -> None:
        if not self._closed and self._wanted and (self._refill is None or self._refill.done()):
            self._refill = asyncio.create_task(self._fill(seconds))

    async def _fill(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        while len(self.spares) < self._wanted and not self._closed:
            try:
                self.spares.append(await self._started(self.default, self._work / f"{SPARE}{secrets.token_hex(8)}", self._spare_egress))
            except KernelStartFailed:
                return  # logged; the next take tries again and tells its person

    async def close(self) -> None:
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._refill
        await asyncio.gather(*self._ending, *(_ended(spare) for spare in self.spares))
        self.spares.clear()
        await self._launcher.close()
        self._context.destroy(linger=0)


def _holds_files(workdir: Path) -> bool:
    try:
        return workdir.is_dir() and any(workdir.iterdir())
    except PermissionError:
        # An earlier kernel closed it to all but itself.
        return True


async def _ended(spare: JupyterKernel) -> None:
    await spare.kill()
    await spare.stop()
