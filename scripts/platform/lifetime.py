"""One platform per data folder: who runs it, stopping it, deleting what it made.

A lock on a file says that a supervisor lives; the file holds its process id. The operating system drops the lock when the supervisor
dies, so a stale file deceives nobody.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator

from scripts.platform.settings import Settings

DOWN_TIMEOUT_S = 60.0


class AlreadyRunning(Exception):
    """Another supervisor owns the data folder."""


@contextlib.contextmanager
def owned(settings: Settings) -> Iterator[None]:
    """Holds the data folder; raises AlreadyRunning."""
    path = settings.run / "platform.pid"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"a platform runs on {settings.data} already (process {_owner(settings)}): stop it with 'make down'") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def down(settings: Settings) -> int:
    pid = _owner(settings)
    if pid is None:
        print("down: nothing runs")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_TIMEOUT_S
    while _owner(settings) is not None:
        if time.monotonic() > deadline:
            print(f"down: process {pid} still runs after {DOWN_TIMEOUT_S:.0f} s: look at {settings.logs}")
            return 1
        time.sleep(0.1)
    print("down: stopped")
    return 0


def reset(settings: Settings) -> int:
    """Deletes the data folder's contents, and asks nothing: the command's name says it."""
    status = down(settings)
    if status == 0:
        shutil.rmtree(settings.data, ignore_errors=False) if settings.data.exists() else None
        print(f"reset: {settings.data} is gone; 'make up' starts afresh")
    return status


def _owner(settings: Settings) -> int | None:
    """The process that holds the data folder, or None."""
    path = settings.run / "platform.pid"
    if not path.exists():
        return None
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0) or None
        return None
