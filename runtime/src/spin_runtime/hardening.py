"""What every process of the runtime does against its neighbours. Standard library and system calls alone.

- A process that is not dumpable cannot be traced, and its memory, environment and files cannot be read through /proc, by anybody but root.
- The environment block that a process was started with stands in its memory for ever: what is secret in it is overwritten.
- A process dies with the one that started it.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Callable

# The exit status of a server whose broker has ended.
BROKER_GONE = 3
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
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


def dying_with_parent(parent: int) -> Callable[[], None]:
    """For a child, between fork and exec."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it died before the call above

    return prepare
