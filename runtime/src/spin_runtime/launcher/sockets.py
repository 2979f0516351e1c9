"""The broker's sockets, as the launcher gives them to kernels: each to one kernel, and nothing else under that name.

The server says which; a ticket counts on its own kernel's socket alone, so that a kernel which gets another's can do no more there than the server.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spin_runtime.launcher.rules import Rules

# As broker/socket.py makes them, in a folder of its own where the usual one is too long for a socket.
NAME = re.compile(r"kernel-[0-9]{1,10}-[0-9a-f]{16}\.sock")
LONGEST_FOLDER = 107 - len("/kernel-99999999-0123456789abcdef.sock")


@contextmanager
def opened(rules: Rules, path: str) -> Iterator[int]:
    """The socket itself, whatever its name will mean. Raises OSError, ValueError for what is no socket of the broker's for a new kernel."""
    folder, usual = Path(path).parent, Path(rules.private, "run")
    if folder != usual and len(str(usual)) <= LONGEST_FOLDER:
        raise ValueError(f"the broker's sockets are in {usual}")
    if NAME.fullmatch(Path(path).name) is None:
        raise ValueError("the name is none of a broker's socket")
    parent = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        socket = os.open(Path(path).name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            _check(os.fstat(socket), os.fstat(parent), rules.broker)
            yield socket
        finally:
            os.close(socket)
    finally:
        os.close(parent)


def _check(socket: os.stat_result, parent: os.stat_result, broker: int) -> None:
    if not stat.S_ISSOCK(socket.st_mode) or {socket.st_uid, parent.st_uid} != {broker}:
        raise ValueError("it is no socket of the broker's")
    if socket.st_nlink != 1:
        raise ValueError("it is another kernel's")
