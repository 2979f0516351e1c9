"""Starting one confined process and holding on to it.

The child says that it is ready over a socket whose messages Linux signs with the sender's process id, as the launcher sees it; so the id is
right across namespaces, and the child is still there when its pidfd is opened.
"""

import errno
import os
import resource
import select
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
PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2
# A copy that is a kernel's user can be stopped by that kernel.
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Child:
    # pidfds: a number may be another's by now. Of the first process of its namespace, or of the program itself; and of the program.
    outer: int
    own: int
    pid: int
    confinement: Confinement

    def signal(self, number: int) -> None:
        """To its process group, for as long as the program that leads it is there."""
        with suppress(ProcessLookupError):
            try:
                signal.pidfd_send_signal(self.own, number, None, PIDFD_SIGNAL_PROCESS_GROUP)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                # Before Linux 6.9: its number cannot be another's while it has not been collected.
                signal.pidfd_send_signal(self.own, 0)
                os.killpg(self.pid, number)

    def end(self) -> None:
        self.signal(signal.SIGKILL)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.outer, signal.SIGKILL)
        os.close(self.own)
        os.close(self.outer)

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
    copy = os.fork()
    if not copy:
        with suppress(BaseException):
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with suppress(ProcessLookupError):
                act()
            os.write(writing, b"done")
        os._exit(0)
    os.close(writing)
    try:
        said = os.read(reading, 4) if select.select([reading], [], [], PATIENCE_S)[0] else _ended(copy)
    finally:
        os.close(reading)
    if said != b"done":
        raise OSError("the kernel's limit could not be changed")


def _ended(copy: int) -> bytes:
    """One that has not ended by itself: its number is still its own."""
    os.kill(copy, signal.SIGKILL)
    return b""


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
            held = os.pidfd_open(outer)
        except ProcessLookupError:
            raise StartFailed("it ended at once") from None
        try:
            return _ready(confinement, held, ours)
        except BaseException:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(held, signal.SIGKILL)
            os.close(held)
            raise


def _ready(confinement: Confinement, outer: int, channel: socket.socket) -> tuple[Child, int]:
    pid = _said_ready(channel)
    descriptor = os.pidfd_open(pid)
    try:
        channel.send(confine.GO)
        _, fault = _received(channel)
        if fault:
            raise StartFailed(fault.decode(errors="replace"))
        return Child(outer, os.dup(descriptor), pid, confinement), descriptor
    except BaseException:
        os.close(descriptor)
        raise


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
