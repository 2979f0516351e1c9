"""Files that only their owner may read, and locks between processes.

Everything lives in one folder, $XDG_CONFIG_HOME/spin (mode 0700). Files are written whole: to a new file first, then renamed, so that a
reader never sees half of one and a crash loses nothing.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO


def config_folder() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path.home() / ".config") / "spin"


def write_private(path: Path, data: bytes) -> None:
    """Replaces the file, mode 0600 from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@asynccontextmanager
async def file_lock(path: Path) -> AsyncIterator[None]:
    """Held by one process at a time; freed by the system when its holder dies."""
    file = await asyncio.to_thread(_locked, path)
    try:
        yield
    finally:
        file.close()


def _locked(path: Path) -> IO[bytes]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = path.open("ab")
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
    return file
