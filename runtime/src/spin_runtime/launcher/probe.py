"""What a confined process can do that it must not: run by the launcher in a sandbox, with the targets in its argument. Says it in JSON on stderr."""

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PTRACE_TRACEME = 0
PR_GET_NO_NEW_PRIVS = 39
CLONE_NEWUSER = 0x10000000
_libc = ctypes.CDLL(None)


def could(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) < 0:
        raise OSError


def connect(family: int, address: str | tuple[str, int]) -> None:
    with socket.socket(family) as client:
        client.settimeout(2)
        client.connect(address)


def _signal(pid: int) -> bool:
    # Where processes have a namespace, that number is none or another's.
    return could(lambda: os.kill(pid, 0)) and _is_outside(pid)


def _is_outside(pid: int) -> bool:
    return pid not in (os.getpid(), os.getppid())


def capabilities() -> int:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return int(status["CapEff"], 16)


def found(targets: Mapping[str, Any]) -> dict[str, bool]:
    pid, port = targets["pid"], targets["port"]
    return {
        # First: whoever makes a namespace for users has them all in there.
        "capabilities": capabilities() != 0,
        "read": could(lambda: Path(targets["secret"]).read_text()),
        "signal": _signal(pid),
        "processes": could(lambda: Path(f"/proc/{pid}/environ").read_bytes()) and _is_outside(pid),
        "abstract": could(lambda: connect(socket.AF_UNIX, f"\0{targets['abstract']}")),
        "network": port is not None and could(lambda: connect(socket.AF_INET, ("127.0.0.1", port))),
        "trace": could(lambda: call("ptrace", PTRACE_TRACEME, 0, 0, 0)),
        "namespaces": could(lambda: call("unshare", CLONE_NEWUSER)),
        "privileges": _libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1,
    }


def main() -> None:
    sys.stderr.write(json.dumps(found(json.loads(sys.argv[1]))) + "\n")


if __name__ == "__main__":
    main()
