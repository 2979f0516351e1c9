"""Finding out what the machine gives, by trying it.

A kernel's isolation is what a probe process, started as kernels are, could not do. What it could do is told with the mechanism that is
missing and the mend, and then the runtime does not start.
"""

import json
import os
import secrets
import select
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import landlockpy

from spin_runtime.launcher import filesystem
from spin_runtime.launcher.children import StartFailed, start
from spin_runtime.launcher.confine import Confinement
from spin_runtime.launcher.folders import CONNECTION, SPARE, Folders
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_NONE, EGRESS_OPEN, Machine, Rules, Start, Unable

CHOOSE_EGRESS = "or choose none or open"
CHOOSE = "or choose SPIN_ISOLATION=process for development"
MENDS = {
    "read": "Landlock does not keep kernels from the runtime's files",
    "signal": "kernels can signal the runtime: that takes user namespaces, Linux 6.12, or a runtime started as root",
    "processes": "kernels can look into the runtime's processes: Landlock has to be among the kernel's security modules (lsm=landlock,... at boot)",
    "abstract": "kernels can reach other processes' abstract sockets: that takes Linux 6.12, or SPIN_EGRESS=none where namespaces are allowed",
    "network": "kernels reach the network, and SPIN_EGRESS or a workspace's egress policy keeps them from it",
    "trace": "seccomp does not keep kernels from tracing processes",
    "namespaces": "seccomp does not keep kernels from making namespaces",
    "privileges": "kernels can gain privileges: no_new_privs has no effect",
    "capabilities": "kernels keep capabilities",
}


def examined(rules: Rules, folders: Folders) -> Machine:
    """Raises Unable."""
    abi = landlockpy.abi_version()
    if not abi:
        raise Unable(f"Landlock is missing: it takes Linux 5.13 with landlock among its security modules (lsm=landlock,... at boot), {CHOOSE}")
    if shown := filesystem.holds_private(rules):
        raise Unable(f"kernels need {shown[0]}, and the runtime's data {rules.private} lie below it: set SPIN_HOME to a folder elsewhere")
    with_namespaces = Machine(os.geteuid() == 0, abi, "")
    try:
        could = _tried(rules, folders, with_namespaces)
        machine = with_namespaces
    except StartFailed as error:
        machine = Machine(with_namespaces.root, abi, str(error))
        if rules.egress == EGRESS_ALLOW_LIST:
            raise Unable(
                f"an allow-list for egress takes network namespaces, and this machine gives none ({error}): allow them, {CHOOSE_EGRESS}"
            ) from error
        could = _tried_without(rules, folders, machine)
    if could:
        without = f" (no namespaces: {machine.namespaces_refused})" if machine.namespaces_refused else ""
        raise Unable("; ".join(MENDS[name] for name in could) + f"{without}. Mend that, {CHOOSE}")
    return machine


def system_call_filter(rules: Rules, machine: Machine) -> bytes:
    """Raises Unable."""
    return seccomp_program(internet=rules.egress == EGRESS_OPEN or machine.namespaces)


def seccomp_program(*, internet: bool) -> bytes:
    """Raises Unable."""
    try:
        from spin_runtime.launcher import seccomp
    except (RuntimeError, OSError) as error:
        raise Unable(f"libseccomp is missing: install the package libseccomp2, {CHOOSE} ({error})") from error
    return seccomp.program(internet=internet)


def mechanisms(rules: Rules, machine: Machine) -> list[str]:
    """For the log."""
    own = ["a user per work folder"] if rules.uids else []
    if not machine.landlock_abi:
        return own
    network = [] if rules.egress == EGRESS_OPEN else ["network namespace" if machine.namespaces else "no internet sockets"]
    spaces = ["mount, process and ipc namespaces"] if machine.namespaces else [f"no namespaces ({machine.namespaces_refused})"]
    return [f"Landlock {machine.landlock_abi}", "seccomp", "no_new_privs", "resource limits", *spaces, *network, *own]


def _tried_without(rules: Rules, folders: Folders, machine: Machine) -> list[str]:
    try:
        return _tried(rules, folders, machine)
    except StartFailed as error:
        raise Unable(
            f"a probe in the sandbox did not start: {error} (without namespaces, which are refused: {machine.namespaces_refused})"
        ) from error


def _tried(rules: Rules, folders: Folders, machine: Machine) -> list[str]:
    """What a confined probe could do that it must not. Raises StartFailed, Unable."""
    program = system_call_filter(rules, machine)
    with _canaries(rules) as targets, probes_folders(rules, folders) as (work, box), tempfile.TemporaryFile() as stderr:
        # Nothing that lies in the folder is the probe.
        argv = [sys.executable, "-P", "-m", "spin_runtime.launcher.probe", json.dumps(targets)]
        # Of an allow-list it is tried that nothing is reached beside it.
        wanted = Start(argv, dict(os.environ), str(work), str(box), EGRESS_OPEN if rules.egress == EGRESS_OPEN else EGRESS_NONE)
        uid = folders.give_all(wanted, taken=())
        child, descriptor = start(Confinement(rules, wanted, machine, uid, program), stderr.fileno())
        _ended(descriptor)
        child.end()
        stderr.seek(0)
        return _read(stderr.read())


@contextmanager
def probes_folders(rules: Rules, folders: Folders) -> Iterator[tuple[Path, Path]]:
    """A work folder and a box as kernels have them; the server, which may write to a work folder, does not know its name beforehand."""
    work, box = f"{SPARE}{secrets.token_hex(8)}", Path(folders.box())
    folders.new(work)
    (box / CONNECTION).touch(mode=0o600)
    os.chown(box / CONNECTION, rules.server, -1)
    try:
        yield folders.work / work, box
    finally:
        folders.let_go(str(folders.work / work), str(box))


def _ended(descriptor: int) -> None:
    try:
        if not select.select([descriptor], [], [], 30)[0]:
            raise Unable("a probe in the sandbox did not end within 30 s")
    finally:
        os.close(descriptor)


def _read(output: bytes) -> list[str]:
    try:
        found: Mapping[str, bool] = json.loads(output.strip().splitlines()[-1])
        return [name for name in MENDS if found[name]]
    except (ValueError, IndexError, KeyError, TypeError):
        words = output.decode(errors="replace").strip()[-500:]
        raise Unable(f"a probe in the sandbox failed (is its Python, {sys.executable}, readable to every user?): {words}") from None


@contextmanager
def _canaries(rules: Rules) -> Iterator[dict[str, object]]:
    """Things that the probe must not reach."""
    root = Path(tempfile.mkdtemp(prefix="probe-", dir=rules.private))
    root.chmod(0o711)
    secret = root / "secret"
    secret.write_text("secret")
    # Isolation alone stands before it.
    secret.chmod(0o644)
    name = f"spin-probe-{os.getpid()}-{root.name}"
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket() as internet:
        abstract.bind(f"\0{name}")
        abstract.listen()
        internet.bind(("127.0.0.1", 0))
        internet.listen()
        port = None if rules.egress == EGRESS_OPEN else internet.getsockname()[1]
        try:
            yield {"secret": str(secret), "pid": os.getpid(), "abstract": name, "port": port}
        finally:
            with suppress(OSError):
                shutil.rmtree(root)
