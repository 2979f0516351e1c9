"""A PostgreSQL of its own for a measurement, as durable as it comes; None where none is installed."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.bench.jupyter_peers import free_port


@contextlib.contextmanager
def server() -> Iterator[str | None]:
    """The address of an empty database."""
    programs = _programs()
    if programs is None:
        yield None
        return
    root = Path(tempfile.mkdtemp(prefix="spin-bench-postgres-"))
    user, data, port = _owner(root), root / "data", free_port()
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w"]
    try:
        _run(user, [str(programs / "initdb"), "-D", str(data), "-U", "spin", "-A", "trust", "-E", "UTF8"])
        _run(user, [*control, "-l", str(root / "log"), "-o", f"-p {port} -c listen_addresses=127.0.0.1 -k {root}", "start"])
        yield f"postgresql://spin@127.0.0.1:{port}/postgres"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            _run(user, [*control, "-m", "fast", "stop"])
        shutil.rmtree(root, ignore_errors=True)


def _programs() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin")) + [Path(found).parent for found in [shutil.which("pg_ctl")] if found]
    return folders[-1] if folders else None


def _owner(root: Path) -> str | None:
    """PostgreSQL refuses to be root, so root lends it another user."""
    if os.getuid() != 0:
        return None
    account = next(entry for entry in pwd.getpwall() if entry.pw_name in ("postgres", "nobody"))
    os.chown(root, account.pw_uid, account.pw_gid)
    return account.pw_name


def _run(user: str | None, command: list[str]) -> None:
    subprocess.run(command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
