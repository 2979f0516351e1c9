"""Removing what kernels leave: a process of its own does it, because a tree may be as large, and nested as deep, as its kernel liked.

What goes has a new name at once, which no request can say. What could not be removed is in the log, and the next start tries it again.
"""

import logging
import os
import secrets
import subprocess
from contextlib import suppress
from pathlib import Path

# No name of a request begins with a dot.
GONE = ".gone-"
log = logging.getLogger(__name__)


class Removals:
    def __init__(self) -> None:
        self._running: dict[Path, subprocess.Popen[bytes]] = {}

    def begin(self, name: str, parent: Path, folder: int) -> None:
        """Of the entry in a folder, of which these are path and descriptor. Raises OSError."""
        self._look()
        gone = f"{GONE}{secrets.token_hex(8)}"
        with suppress(FileNotFoundError):
            os.rename(name, gone, src_dir_fd=folder, dst_dir_fd=folder)
            self._remove(parent / gone)

    def _remove(self, path: Path) -> None:
        # GNU's, which follows no link, whatever happens meanwhile, and does not recurse; another's does not know that option.
        command = ["rm", "-rf", "--one-file-system", "--", str(path)]
        try:
            self._running[path] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except OSError as error:
            log.warning("%s cannot be removed, there has to be GNU's rm in PATH: %s", path, error)

    def _look(self) -> None:
        for path in [path for path, process in self._running.items() if process.poll() is not None]:
            del self._running[path]
            if path.exists():
                log.warning("what a kernel left could not be removed, the next start tries it again: %s", path)

    def finish(self) -> None:
        for process in self._running.values():
            process.wait()
        self._look()
