"""What every process of the runtime does against its neighbours. Standard library and system calls alone.

- A process that is not dumpable cannot be traced, and its memory, environment and files cannot be read through /proc, by anybody but root.
- The environment block that a process was started with stands in its memory for ever: what is secret in it is overwritten.
- A process dies with the one that started it.
- Where the runtime's processes stay root, they and their kernels do without the rights that would undo all this.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Collection

# The exit status of a server whose broker or launcher has ended.
NEIGHBOUR_GONE = 3
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
# Of linux/capability.h, what reaches into other processes, the machine's memory, disks and kernel: DAC_READ_SEARCH, SYS_MODULE, SYS_RAWIO,
# SYS_PTRACE, SYS_ADMIN, SYS_BOOT, MKNOD, MAC_OVERRIDE, MAC_ADMIN, PERFMON, BPF, CHECKPOINT_RESTORE.
_DANGEROUS = frozenset((2, 16, 17, 19, 21, 22, 27, 32, 33, 38, 39, 40))
_EVERY = frozenset(range(64))
# What giving kernels users, folders and ends of their own takes: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP; and beside
# that, namespaces and their loopback: NET_ADMIN, SYS_ADMIN.
OWN_USERS = frozenset((0, 1, 3, 4, 5, 6, 7, 8))
NAMESPACES = OWN_USERS | {12, 21}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.getenv.restype = ctypes.c_void_p


def hide() -> None:
    """From here on nobody but root looks into this process, and it leaves no core file."""
    _libc.prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def scrub_environment() -> dict[str, str]:
    """The environment, which is nowhere else any more: os.environ is a copy of the block that /proc shows, so the block itself is overwritten."""
    environment = dict(os.environ)
    for name in environment:
        if address := _libc.getenv(os.fsencode(name)):
            ctypes.memset(address, 0, len(os.fsencode(environment[name])))
    os.environ.clear()
    return environment


def child_of(parent: int, *, new_privileges: bool, rights: Collection[int] = _EVERY - _DANGEROUS) -> Callable[[], None]:
    """For a child, between its change of user and exec: system calls alone. Both it and what it starts keep to this."""
    lost = sorted(_EVERY.difference(rights))

    def prepare() -> None:
        # Forgotten by a change of user, so not before.
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it died before the call above
        for capability in lost:
            _libc.prctl(_PR_CAPBSET_DROP, capability)  # fails for who is not root, and has none of them
        if not new_privileges:
            _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    return prepare
