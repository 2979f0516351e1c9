"""The proxies as the server sees them: one process for all kernels with an allow-list, started with the first.

The listening sockets are the server's, so a process that died is followed by another which serves the same ones.
"""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from spin_runtime.egress.packets import denied_of
from spin_runtime.egress.policy import as_plain
from spin_runtime.launcher import wire
from spin_runtime.launcher.rules import EGRESS_SOCKET
from spinapis.envelope.v1.attach_pb2 import EgressPolicy

BACKLOG = 128
# For a packet to go out; the process reads at once.
SEND_S = 5.0
log = structlog.get_logger(__name__)


@dataclass
class _Kernel:
    listener: socket.socket
    policy: EgressPolicy


class EgressProxies:
    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is what the process sees: nothing secret."""
        self._environment = dict(environment)
        self._kernels: dict[str, _Kernel] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def open(self, box: Path, policy: EgressPolicy) -> Path:
        """Puts the proxy's socket into a kernel's box, before the box becomes the kernel's. Raises OSError."""
        listener = socket.socket(socket.AF_UNIX)
        path = box / EGRESS_SOCKET
        listener.bind(str(path))
        # Who may reach it is who may enter the box.
        path.chmod(0o666)
        listener.listen(BACKLOG)
        self._kernels[str(box)] = _Kernel(listener, policy)
        if self._channel is None:
            self._begin()
        else:
            self._say_open(str(box))
        return path

    def change(self, box: Path, policy: EgressPolicy) -> None:
        kernel = self._kernels[str(box)]
        kernel.policy = policy
        self._say("change", str(box), as_plain(policy))

    def close_one(self, box: Path) -> None:
        kernel = self._kernels.pop(str(box), None)
        if kernel is not None:
            kernel.listener.close()
            self._say("close", str(box))

    async def close(self) -> None:
        for box in list(self._kernels):
            self.close_one(Path(box))
        self._over()
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    def _begin(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "spin_runtime.egress", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, env=self._environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        ours.settimeout(SEND_S)
        self._channel = ours
        asyncio.get_running_loop().add_reader(ours, self._on_packet)
        for box in self._kernels:
            self._say_open(box)

    def _say_open(self, box: str) -> None:
        kernel = self._kernels[box]
        self._say("open", box, as_plain(kernel.policy), descriptor=kernel.listener.fileno())

    def _say(self, do: str, *arguments: object, descriptor: int | None = None) -> None:
        if self._channel is None:
            return
        # A process that has ended is noticed by its reader, and the next one is told everything.
        with suppress(OSError):
            wire.send(self._channel, {"id": 0, "do": do, "with": arguments}, [] if descriptor is None else [descriptor])

    def _on_packet(self) -> None:
        assert self._channel is not None
        try:
            packet = wire.receive(self._channel)
            denied = None if packet is None else denied_of(packet)
        except OSError:
            denied = None
        if denied is not None:
            box, host = denied
            log.info("a kernel may not reach a host", kernel=box, host=host)
            return
        self._over()
        if self._process is not None:
            # Its end of the channel closed with it.
            self._process.wait(SEND_S)
            self._process = None
        if self._kernels:
            log.warning("the egress proxy ended, and is started again")
            self._begin()

    def _over(self) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
            self._channel = None
