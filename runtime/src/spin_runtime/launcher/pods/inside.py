"""Run in a pod of the kernels' image, with the targets in its argument: what it can do that it must not, and what it cannot do that kernels need.
The launcher brings this file and the probes: the image need not have them. Says it in JSON on stderr.
"""

import ctypes
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from spin_runtime.launcher import image, probe

TOKEN = "/var/run/secrets/kubernetes.io"  # noqa: S105 - where it would be
IO_URING_SETUP = 425
TRY_S, SOCKET_S = 1.0, 20.0


def _open_to(address: tuple[str, int], seconds: float) -> bool:
    """Whether it stays reachable: a plugin may take a while until it knows of a policy."""
    end = time.monotonic() + seconds
    while _connects(address):
        if time.monotonic() > end:
            return True
        time.sleep(TRY_S)
    return False


def _connects(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, TRY_S).close()
    except OSError:
        return False
    return True


def _appears(path: str) -> bool:
    """Whether a socket of the runtime's does, which is brought while this runs already."""
    end = time.monotonic() + SOCKET_S
    while not probe.could(lambda: probe.connect(socket.AF_UNIX, path)):
        if time.monotonic() > end:
            return False
        time.sleep(TRY_S / 10)
    return True


def _io_uring() -> None:
    if ctypes.CDLL(None).syscall(IO_URING_SETUP, 1, ctypes.create_string_buffer(120)) < 0:
        raise OSError


def main() -> None:
    targets = json.loads(sys.argv[1])
    failed: Mapping[str, bool] = {
        "files": not probe.could(lambda: Path("file").write_text("x")),
        "scratch": not probe.could(lambda: Path("/tmp/file").write_text("x")),  # noqa: S108 - its own
        "sockets": not _appears(targets["broker"]),
    }
    could = {
        "capabilities": probe.capabilities() != 0,
        "privileges": ctypes.CDLL(None).prctl(probe.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1,
        "namespaces": probe.could(lambda: probe.call("unshare", probe.CLONE_NEWUSER)),
        "io_uring": probe.could(_io_uring),
        "root": os.geteuid() == 0,
        "image": probe.could(lambda: Path("/spin-probe").write_text("x")),
        "token": Path(TOKEN).exists(),
        "network": _open_to((targets["host"], targets["port"]), targets["seconds"]),
    }
    said = {"could": could, "failed": failed, "missing": image.missing(), "python": sys.executable, "kernels": image.kernels()}
    sys.stderr.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
