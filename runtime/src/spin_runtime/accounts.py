"""The users that the runtime's processes run as. Standard library alone.

- Started as root, broker and server each get a user of their own (`SPIN_UIDS=separate`), and so does every kernel, so that none of them can
  signal another or read its files. `SPIN_UIDS=shared` leaves all but kernels in a sandbox or container to the user that started the runtime.
- What such a user cannot reach is found before anything starts, and said with the way to mend it: nothing is shared in silence.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SEPARATE, SHARED = "separate", "shared"
# Between what distributions give to people and what they give to services.
BROKER_UID, SERVER_UID = 47801, 47802
SETTINGS = {"broker": "SPIN_BROKER_UID", "server": "SPIN_SERVER_UID", "kernel": "SPIN_KERNEL_UIDS"}
# A Unix socket's path holds 107 bytes: what stands below SPIN_HOME needs some of them.
LONGEST_HOME = 60


@dataclass(frozen=True)
class Accounts:
    """Each user has a group of the same number."""

    broker: int
    server: int


def sandboxed(environment: Mapping[str, str]) -> bool:
    """Whether the launcher makes namespaces."""
    return environment.get("SPIN_ISOLATION", "").strip() == "sandbox"


def default() -> str:
    return SEPARATE if os.geteuid() == 0 else SHARED


def chosen(environment: Mapping[str, str]) -> Accounts | None:
    """None when all processes share a user. The settings have been checked."""
    if (environment.get("SPIN_UIDS", "").strip() or default()) == SHARED:
        return None
    numbers = (environment.get(name, "").strip() or own for name, own in (("SPIN_BROKER_UID", BROKER_UID), ("SPIN_SERVER_UID", SERVER_UID)))
    return Accounts(*map(int, numbers))


def prepare(home: Path, accounts: Accounts) -> None:
    """Gives each its folders. Others may enter some of them, and list none: kernels find their way by the paths that they are told."""
    var = _made(home / "var", 0, 0o711)
    for name, uid, mode in (
        ("broker", accounts.broker, 0o700),
        ("run", accounts.broker, 0o711),
        ("streams", accounts.server, 0o700),
        ("home", accounts.server, 0o700),
    ):
        _made(var / name, uid, mode)
    for name in ("kernels", "work"):
        # What lies in them is given away by the launcher alone.
        folder = _made(var / name, 0, 0o711)
        os.chown(folder, 0, 0, follow_symlinks=False)


def _made(folder: Path, uid: int, mode: int) -> Path:
    """Nothing that has another name elsewhere is given away, and no link is followed: what lies there was another user's to name."""
    folder.mkdir(parents=True, exist_ok=True)
    if uid and folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link", str(folder))
    if uid and folder.stat().st_uid != uid:
        for _, folders, files, top in os.fwalk(folder):
            os.chown(top, uid, uid)
            for name in (*folders, *files):
                found = os.stat(name, dir_fd=top, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode) or found.st_nlink == 1:
                    os.chown(name, uid, uid, dir_fd=top, follow_symlinks=False)
    folder.chmod(mode)
    return folder


def faults(home: Path, accounts: Accounts, kernel: int | None, servers_files: Iterable[Path], brokers_files: Iterable[Path] = ()) -> list[str]:
    """What keeps these users from running the runtime's processes, one line each. `kernel` is one of its kernels', where no probe finds that out."""
    if len(str(home)) > LONGEST_HOME:
        return [f"SPIN_HOME is {home}, which is too long for the sockets below it: choose a path of at most {LONGEST_HOME} characters"]
    try:
        prepare(home, accounts)
    except OSError as error:
        return [
            f"{error.filename or home} cannot be given to the users {accounts.broker} and {accounts.server}: {error.strerror}. "
            "Choose users that exist here with SPIN_BROKER_UID and SPIN_SERVER_UID, or set SPIN_UIDS=shared"
        ]
    program, var = program_files(), home / "var"
    brokers = _said("broker", accounts.broker, unreachable(accounts.broker, [*program, var / "broker", var / "run", *brokers_files]))
    servers = _said("server", accounts.server, unreachable(accounts.server, [*program, var / "streams", var / "home", *servers_files]))
    kernels = [] if kernel is None else _said("kernel", kernel, unreachable(kernel, program, enters=[var]))
    return [*brokers, *servers, *kernels]


def program_files() -> list[Path]:
    """What a process of the runtime needs to start."""
    return [Path(sys.executable), Path(os.__file__), Path(__file__), *(Path(folder) for folder in sys.path if folder and Path(folder).exists())]


def _said(process: str, uid: int, path: str) -> list[str]:
    if not path:
        return []
    return [
        f"the {process}'s user {uid} ({SETTINGS[process]}) cannot read {path}: let it (chmod, chown), move it where it can, "
        "or set SPIN_UIDS=shared, with which the runtime's processes and its kernels are one user"
    ]


def unreachable(uid: int, paths: Iterable[Path], enters: Iterable[Path] = ()) -> str:
    """The first of these that the user may not read, or pass through, or the folder on its way; empty when it may do all."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        reads, passes = ((path, os.R_OK) for path in paths), ((path, os.F_OK) for path in enters)
        os.write(writer, os.fsencode(next((found for path, how in (*reads, *passes) if (found := _closed(path, how))), "")))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        found = os.fsdecode(said.read())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return found or (f"anything: there is no user {uid} here" if status else "")


def _closed(path: Path, how: int) -> str:
    real = Path(os.path.realpath(path))
    for folder in reversed(real.parents):
        if not os.access(folder, os.X_OK):
            return str(folder)
    return "" if os.access(real, how | (os.X_OK if real.is_dir() else 0)) else str(real)
