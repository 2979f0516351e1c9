"""Starting one confined process and holding on to it.

The child says that it is ready over a socket whose messages Linux signs with the sender's process id, as the launcher sees it; so the id is
right across namespaces, and the child is still there when its pidfd is opened.
"""

import os
import resource
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from spin_runtime.launcher import confine
from spin_runtime.launcher import syscalls as sys
from spin_runtime.launcher.confine import Confinement

SECONDS = 10.0
CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Child:
    # The first process of its namespace, or the program itself.
    outer: int
    pid: int
    confinement: Confinement

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def end(self) -> None:
        self.signal(signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(self.outer, signal.SIGKILL)

    def limit_memory(self, wanted: int) -> None:
        """0 restores the launcher's own limit."""
        hard = self.confinement.rules.memory_bytes or resource.RLIM_INFINITY
        soft = hard if not wanted else wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        uid = self.confinement.uid
        if uid is None:
            with suppress(ProcessLookupError):
                resource.prlimit(self.pid, resource.RLIMIT_DATA, (soft, hard))
        else:
            _as_user(uid, lambda: resource.prlimit(self.pid, resource.RLIMIT_DATA, (soft, hard)))


def _as_user(uid: int, act: Callable[[], object]) -> None:
    """In a copy of this process that is that user: containers' root often may not change another user's limits. Raises OSError."""
    reading, writing = os.pipe()
    if not os.fork():
        with suppress(BaseException):
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with suppress(ProcessLookupError):
                act()
            os.write(writing, b"done")
        os._exit(0)
    os.close(writing)
    try:
        if os.read(reading, 4) != b"done":
            raise OSError("the kernel's limit could not be changed")
    finally:
        os.close(reading)


class StartFailed(Exception):
    """The text says at which step."""


def start(confinement: Confinement, stderr: int) -> tuple[Child, int]:
    """The child and its pidfd. Raises StartFailed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        ours.settimeout(SECONDS)
        try:
            outer = sys.clone(confinement.flags) if confinement.flags else os.fork()
        except OSError as error:
            raise StartFailed(str(error)) from error
        if not outer:
            ours.close()
            confine.become(confinement, theirs, stderr)
        theirs.close()
        try:
            return _ready(confinement, outer, ours)
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(outer, signal.SIGKILL)
            raise


def _ready(confinement: Confinement, outer: int, channel: socket.socket) -> tuple[Child, int]:
    pid = _said_ready(channel)
    descriptor = os.pidfd_open(pid)
    try:
        channel.send(confine.GO)
        _, fault = _received(channel)
        if fault:
            raise StartFailed(fault.decode(errors="replace"))
    except BaseException:
        os.close(descriptor)
        raise
    return Child(outer, pid, confinement), descriptor


def _said_ready(channel: socket.socket) -> int:
    pid, text = _received(channel)
    if text == confine.READY:
        return pid
    raise StartFailed(text.removeprefix(confine.FAILED).decode(errors="replace") or "it ended before its program began")


def _received(channel: socket.socket) -> tuple[int, bytes]:
    """Who sent it, and what; nothing at the end, which is how a successful exec shows."""
    try:
        data, ancillary, _, _ = channel.recvmsg(2048, socket.CMSG_SPACE(CREDENTIALS.size))
    except TimeoutError:
        raise StartFailed(f"it did not start within {SECONDS:.0f} s") from None
    except ConnectionResetError:
        return 0, b""
    pid = next((CREDENTIALS.unpack(value)[0] for _, kind, value in ancillary if kind == socket.SCM_CREDENTIALS), 0)
    return pid, data
