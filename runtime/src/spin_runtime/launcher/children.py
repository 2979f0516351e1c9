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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from spin_runtime.launcher import confine
from spin_runtime.launcher import syscalls as sys
from spin_runtime.launcher.confine import Confinement

SECONDS = 10.0
CREDENTIALS = struct.Struct("3i")
PIDFD_SIGNAL_PROCESS_GROUP = 1 << 2
# For a copy that is a kernel's user: that kernel can stop it, and everybody waits meanwhile.
PATIENCE_S = 0.25


@dataclass
class Child:
    # pidfds: a number may be another's by now. Of the first process of its namespace, or of the program itself; and of the program.
    outer: int
    own: int
    pid: int
    confinement: Confinement
    # Something that runs as its user stopped a copy: there is no other for it.
    stops_copies: bool = False

    def signal(self, number: int) -> None:
        """To its process group, for as long as the program that leads it is there."""
        with suppress(ProcessLookupError):
            try:
                signal.pidfd_send_signal(self.own, number, None, PIDFD_SIGNAL_PROCESS_GROUP)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                # Before Linux 6.9. It may end and its number become another group's between the two: nothing there closes that gap.
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
        elif self.stops_copies or not _as_user(uid, lambda: resource.prlimit(self.pid, resource.RLIMIT_DATA, (soft, hard))):
            self.stops_copies = True
            raise OSError("the kernel's limit cannot be changed: what it runs stops the process that was to change it. Restart the kernel")


def _as_user(uid: int, act: Callable[[], object]) -> bool:
    """In a copy of this process that is that user: containers' root often may not change another user's limits. False where the copy was stopped.
    Raises OSError.
    """
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
    with open(reading, "rb", buffering=0) as said, _held(copy) as kill:  # noqa: PTH123 - a descriptor
        if not select.select([said], [], [], PATIENCE_S)[0]:
            kill()
            return False
        if said.read(4) != b"done":
            raise OSError("the kernel's limit could not be changed")
    return True


@contextmanager
def _held(copy: int) -> Iterator[Callable[[], None]]:
    """What ends it: Linux collects this process's children by itself, and then the number is free for another."""
    try:
        held = os.pidfd_open(copy)
    except ProcessLookupError:
        yield lambda: None
        return
    try:
        yield lambda: signal.pidfd_send_signal(held, signal.SIGKILL)
    finally:
        os.close(held)


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
