"""Kernels that the launcher starts, as processes, in containers or in pods: it knows the difference."""

import asyncio
import os
import select
import signal
import stat
from pathlib import Path
from typing import Any

import structlog
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from spin_runtime.launcher.client import LauncherClient, LaunchRefused, Started
from spin_runtime.launcher.rules import Start

SHOWN_BYTES = 2000
UNHELD = "The kernel could not be held while nothing may run here, and was ended instead."
log = structlog.get_logger(__name__)


def last_words(path: Path) -> str:
    """The end of a file that was a kernel's to write, or to replace: by a link, which is not followed, or by a pipe, for which nobody waits."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        found = os.fstat(descriptor)
        text = os.pread(descriptor, SHOWN_BYTES, max(0, found.st_size - SHOWN_BYTES)) if stat.S_ISREG(found.st_mode) else b""
    finally:
        os.close(descriptor)
    return text.decode(errors="replace").strip()


class LaunchedProvisioner(LocalProvisioner):
    """Prepares commands and connection files as for any local kernel; the launcher has the process."""

    launcher: LauncherClient
    box: Path
    egress: str
    started: Started | None = None
    unheld: bool = False

    @property
    def has_process(self) -> bool:
        return self.started is not None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        wanted = Start(cmd, kwargs["env"], str(kwargs["cwd"]), str(self.box), self.egress)
        with (self.box / "stderr").open("wb") as stderr:
            self.started = await self.launcher.start(wanted, stderr.fileno())
        self.pid = self.started.pid
        return self.connection_info

    async def poll(self) -> int | None:
        if self.started is None:
            return 0
        waiting = select.poll()
        waiting.register(self.started.end, select.POLLIN)
        return 0 if waiting.poll(0) else None

    async def ended(self) -> None:
        """Returns when the process has."""
        if self.started is None:
            return
        loop, end, descriptor = asyncio.get_running_loop(), asyncio.Event(), os.dup(self.started.end)
        loop.add_reader(descriptor, end.set)
        try:
            await end.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def why(self) -> str:
        """Why it ended, for people; empty where nothing is known."""
        if self.unheld:
            return UNHELD
        if self.started is None:
            return ""
        try:
            return await self.launcher.why(self.started.kernel)
        except LaunchRefused:
            return ""

    async def wait(self) -> int | None:
        await self.ended()
        await self._release()
        return 0

    async def _release(self) -> None:
        if self.started is None:
            return
        started, self.started = self.started, None
        os.close(started.end)
        try:
            await self.launcher.release(started.kernel)
        except LaunchRefused as error:
            # A launcher that has ended took its kernels along.
            log.warning("a kernel could not be released", kernel=started.kernel, error=str(error))

    async def send_signal(self, signum: int) -> None:
        if self.started is None:
            return
        try:
            await self.launcher.signal(self.started.kernel, signum)
        except LaunchRefused as error:
            log.warning("a kernel could not be signalled", kernel=self.started.kernel, signal=signal.Signals(signum).name, error=str(error))
            await self._instead(signum)

    async def _instead(self, refused: int) -> None:
        """What must not go on ends: a kernel that cannot be held is killed, and one that cannot be killed is not waited for."""
        if refused == signal.SIGSTOP:
            self.unheld = True
            await self.kill()
        elif refused == signal.SIGKILL:
            await self._release()

    async def kill(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGTERM)

    async def limit_memory(self, limit_bytes: int) -> None:
        if self.started is not None:
            await self.launcher.limit_memory(self.started.kernel, limit_bytes)

    async def admit(self, socket_path: str) -> str:
        return socket_path if self.started is None else await self.launcher.admit(self.started.kernel, socket_path)
