"""The way of a kernel's process from the launcher to its program. Everything here happens in the child.

    clone into namespaces | mounts | own user, no capabilities | no_new_privs | Landlock | seccomp | forwarder | limits | exec

- With a process namespace, its first process stays and collects orphans; when the kernel ends it ends, and everything in there with it.
- A fault at any step is told to the launcher, and the kernel does not start. Nothing is left out because it did not work.
"""

import contextlib
import os
import resource
import signal
import socket
from dataclasses import dataclass

from spin_runtime.launcher import filesystem
from spin_runtime.launcher import syscalls as sys
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_OPEN, EGRESS_SOCKET, SANDBOX, Machine, Rules, Start

LAST_CAPABILITY = 63
READY, GO, FAILED = b"ready", b"go", b"failed: "
OPEN_FILES = 65_536


@dataclass(frozen=True)
class Confinement:
    rules: Rules
    start: Start
    machine: Machine
    # Its own user; None leaves it the launcher's.
    uid: int | None
    seccomp: bytes

    @property
    def sandboxed(self) -> bool:
        return self.rules.kind == SANDBOX

    @property
    def apart(self) -> bool:
        """Whether the kernel has a home and other files of its own in its box."""
        return self.sandboxed or self.uid is not None

    @property
    def namespaces(self) -> bool:
        return self.sandboxed and self.machine.namespaces

    @property
    def own_network(self) -> bool:
        return self.namespaces and self.start.egress != EGRESS_OPEN

    @property
    def flags(self) -> int:
        if not self.namespaces:
            return 0
        flags = sys.CLONE_NEWNS | sys.CLONE_NEWIPC | sys.CLONE_NEWPID
        flags |= sys.CLONE_NEWNET if self.own_network else 0
        return flags | (0 if self.machine.root else sys.CLONE_NEWUSER)


def become(confinement: Confinement, launcher: socket.socket, stderr: int) -> None:
    """Never returns."""
    try:
        if confinement.sandboxed:
            _enter(confinement)
        else:
            _enter_plainly(confinement)
        if confinement.start.egress == EGRESS_ALLOW_LIST:
            _forward(confinement)
        if confinement.namespaces and (kernel := os.fork()):
            launcher.close()
            _collect(kernel)
        _execute(confinement, launcher, stderr)
    except BaseException as error:
        with contextlib.suppress(OSError):
            launcher.send(FAILED + str(error).encode()[:1000])
    os._exit(127)


def _enter(confinement: Confinement) -> None:
    if confinement.flags & sys.CLONE_NEWUSER:
        _map_user()
    if confinement.namespaces:
        filesystem.isolate(confinement.rules, confinement.start)
    if confinement.own_network:
        sys.loopback_up()
    if confinement.uid is not None:
        _drop_to(confinement.uid)
    # Changing the user forgets it.
    sys.prctl(sys.PR_SET_PDEATHSIG, signal.SIGKILL)
    sys.prctl(sys.PR_SET_NO_NEW_PRIVS, 1)
    internet = confinement.own_network or confinement.start.egress == EGRESS_OPEN
    filesystem.restrict(confinement.rules, confinement.start, namespaces=confinement.namespaces, internet=internet)
    sys.filter_system_calls(confinement.seccomp)


def _enter_plainly(confinement: Confinement) -> None:
    if confinement.uid is None:
        # What a launcher that is root may do beyond its own files is nothing for kernels; exec leaves them none of it.
        _drop_capabilities()
    else:
        _drop_to(confinement.uid)
        sys.prctl(sys.PR_SET_NO_NEW_PRIVS, 1)
    sys.prctl(sys.PR_SET_PDEATHSIG, signal.SIGKILL)


def _forward(confinement: Confinement) -> None:
    """Leaves a process that carries what the kernel sends to its proxy."""
    # Not before it is needed.
    from spin_runtime.launcher import forwarder

    forwarder.leave(f"{confinement.start.box}/{EGRESS_SOCKET}")


def _map_user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    # The files below belong to whoever may look into this process.
    sys.prctl(sys.PR_SET_DUMPABLE, 1)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - between clone and exec
            file.write(text)


def _drop_capabilities() -> None:
    for capability in range(LAST_CAPABILITY + 1):
        with contextlib.suppress(OSError):
            sys.prctl(sys.PR_CAPBSET_DROP, capability)


def _drop_to(uid: int) -> None:
    _drop_capabilities()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _execute(confinement: Confinement, launcher: socket.socket, stderr: int) -> None:
    start, rules = confinement.start, confinement.rules
    os.setsid()
    # The server's group reaches what a kernel with a user of its own makes.
    os.umask(0o077 if confinement.uid is None else 0o007)
    inside = filesystem.work_inside(start) if confinement.namespaces else start.work
    os.chdir(inside)
    _limit(rules, confinement.sandboxed)
    nothing = os.open(os.devnull, os.O_RDWR)
    for source, target in ((nothing, 0), (nothing, 1), (stderr, 2)):
        os.dup2(source, target)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    launcher.send(READY)
    if launcher.recv(16) != GO:
        os._exit(0)
    os.execvpe(start.argv[0], list(start.argv), _environment(confinement))  # noqa: S606 - what the launcher is for


def _environment(confinement: Confinement) -> dict[str, str]:
    environment = dict(confinement.start.environment)
    if confinement.apart:
        environment["HOME"] = f"{confinement.start.box}/home"
        environment["TMPDIR"] = "/tmp" if confinement.namespaces else f"{confinement.start.box}/tmp"  # noqa: S108 - its own
    return environment


def _limit(rules: Rules, sandboxed: bool) -> None:
    if rules.memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (rules.memory_bytes, rules.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sandboxed:
        _lower(resource.RLIMIT_NPROC, rules.processes)
        _lower(resource.RLIMIT_NOFILE, OPEN_FILES)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def _collect(kernel: int) -> None:
    """The first process of the namespace: until the kernel ends."""
    sys.prctl(sys.PR_SET_DUMPABLE, 0)
    os.closerange(0, 1024)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while True:
        pid, status = os.wait()
        if pid == kernel:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
