"""What of the file system a confined kernel sees.

- Read and execute: the system's programs and libraries, the interpreter, what the configuration names, some files of /etc, /sys and /proc.
- Read and write: the session's work folder, the kernel's box, and scratch space. Nothing else, and nothing of the runtime's own data.
- With namespaces, every folder of the root that is not the system's own (/var, /srv, /run, homes, …) and the runtime's data are hidden by empty
  ones: Linux asks neither Landlock nor the folders above when somebody connects to a named socket. What a kernel needs of them is mounted back,
  and then it does not matter that another user may not enter what lies above. Scratch space is the kernel's own.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from landlockpy import AccessFS, AccessNet, Ruleset, Scope

from spin_runtime.launcher import syscalls as sys
from spin_runtime.launcher.rules import Rules, Start

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/sys")
ETC = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "passwd", "group", "nsswitch.conf", "hosts", "host.conf", "gai.conf"),
    *("resolv.conf", "services", "protocols", "localtime", "timezone", "ssl", "ca-certificates", "pki", "mime.types", "os-release"),
    *(
        "terminfo",
        "inputrc",
        "bash.bashrc",
        "profile",
        "locale.alias",
        "jupyter",
        "ipython",
        "krb5.conf",
        "odbc.ini",
        "odbcinst.ini",
        "fonts",
        "magic",
    ),
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
TERMINALS = ("/dev/ptmx", "/dev/pts")
SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - the kernel's own ones
# Folders of the root that stay as they are; of /etc, /proc, /sys and /dev a kernel gets what is named here.
SHOWN = frozenset(["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "proc", "sys", "dev", "tmp"])
OF_PROC = ("self", "meminfo", "cpuinfo", "stat", "version", "filesystems", "loadavg", "uptime", "mounts", "sys")
READ = AccessFS.READ_FILE | AccessFS.READ_DIR | AccessFS.EXECUTE
DEVICE = AccessFS.READ_FILE | AccessFS.WRITE_FILE | AccessFS.IOCTL_DEV | AccessFS.READ_DIR | AccessFS.TRUNCATE
WRITE = AccessFS((1 << 17) - 1) & ~(AccessFS.MAKE_CHAR | AccessFS.MAKE_BLOCK | AccessFS.IOCTL_DEV)


def readable(rules: Rules) -> list[str]:
    """Every path that exists, with what it is a link to."""
    named = [*SYSTEM, *(f"/etc/{name}" for name in ETC), *rules.readable]
    found = {path: None for path in named if os.path.exists(path)}  # noqa: PTH110 - says no where it may not look
    return list(found | {os.path.realpath(path): None for path in found})


def holds_private(rules: Rules) -> list[str]:
    """Readable paths that would show the runtime's own data."""
    private = Path(os.path.realpath(rules.private))
    return [path for path in readable(rules) if private.is_relative_to(path)]


def work_inside(start: Start) -> str:
    """Where the session's folder is for its kernel: at one place, whichever kernel it is, or the same as outside without namespaces."""
    return str(Path(start.work).parent / "session")


def isolate(rules: Rules, start: Start) -> None:
    """Inside a new mount namespace: hides and mounts. Raises OSError."""
    hidden = [*_not_the_systems(), rules.private]
    kept = [(path, path) for path in [*readable(rules), start.box]] + [(start.work, work_inside(start))]
    handles = [(os.open(source, os.O_PATH), target) for source, target in kept if _below(target, [*SCRATCH, *hidden])]
    sys.mount("none", "/", flags=sys.MS_REC | sys.MS_PRIVATE)
    for path in hidden:
        _hide(path, "mode=755,size=4m")
    for path in SCRATCH:
        if _below(path, hidden):
            Path(path).mkdir(parents=True, exist_ok=True)
        _hide(path, f"mode=1777,size={rules.scratch_bytes}")
    for handle, target in handles:
        _mounted_back(handle, target)
    sys.mount("proc", "/proc", "proc", sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC)
    sys.mount("devpts", "/dev/pts", "devpts", sys.MS_NOSUID | sys.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    sys.mount("/dev/pts/ptmx", "/dev/ptmx", flags=sys.MS_BIND)


def _not_the_systems() -> list[str]:
    with os.scandir("/") as entries:
        return sorted(entry.path for entry in entries if entry.name not in SHOWN and entry.is_dir(follow_symlinks=False))


def _below(path: str, hidden: Iterable[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in hidden)


def _hide(path: str, options: str) -> None:
    # A link leads to a folder that is hidden itself.
    if Path(path).is_dir() and not Path(path).is_symlink():
        sys.mount("tmpfs", path, "tmpfs", sys.MS_NOSUID | sys.MS_NODEV, options)


def _mounted_back(handle: int, target: str) -> None:
    source = f"/proc/self/fd/{handle}"
    if Path(source).is_dir():
        Path(target).mkdir(mode=0o755, parents=True, exist_ok=True)
    else:
        Path(target).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        Path(target).touch()
    sys.mount(source, target, flags=sys.MS_BIND | sys.MS_REC)
    os.close(handle)


def restrict(rules: Rules, start: Start, *, namespaces: bool, internet: bool) -> None:
    """Applies Landlock to this process and all that come of it. Raises OSError."""
    network = AccessNet.NONE if internet else AccessNet.BIND_TCP | AccessNet.CONNECT_TCP
    with Ruleset(handled_net=network, scoped=Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL) as ruleset:
        for path, access in _grants(rules, start, namespaces):
            with suppress(FileNotFoundError):
                ruleset.allow_path(path, access if Path(path).is_dir() else access & _OF_FILES)
        ruleset.restrict()


_OF_FILES = AccessFS.READ_FILE | AccessFS.WRITE_FILE | AccessFS.EXECUTE | AccessFS.TRUNCATE | AccessFS.IOCTL_DEV


def _grants(rules: Rules, start: Start, namespaces: bool) -> Iterator[tuple[str, AccessFS]]:
    yield from ((path, READ) for path in readable(rules))
    yield from ((path, DEVICE) for path in DEVICES)
    yield start.box, WRITE
    if namespaces:
        yield work_inside(start), WRITE
        yield "/proc", READ
        yield from ((path, WRITE) for path in SCRATCH)
        yield from ((path, DEVICE) for path in TERMINALS)
    else:
        yield start.work, WRITE
        yield from ((f"/proc/{name}", READ) for name in OF_PROC)
