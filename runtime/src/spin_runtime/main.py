"""`spin-runtime`: starts the broker, the launcher and the server, each a process of its own, and ends with them.

- The exit status is 0 after an orderly stop, 2 when the configuration or the disk is wrong, 1 when a process ended that should not have.
- The first SIGTERM or SIGINT asks for an orderly stop, the second one does not wait. No process outlives this one.
- This process imports the standard library alone: it is small, and may run as root. Beside it only the launcher may, which isolates kernels.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spin_runtime import accounts
from spin_runtime.hardening import NAMESPACES, OWN_USERS, child_of, hide, scrub_environment

if TYPE_CHECKING:
    from spin_runtime.settings import Settings

INVALID = 2
# How long a process may take to end by itself once the other has gone.
PATIENCE_S = 10.0
PASSED_ON = ("SPIN_", "LC_", "JUPYTER", "IPYTHON", "XDG_", "PYTHON", "OTEL_", "GRPC_", "SSL_CERT_")
ALSO_PASSED_ON = frozenset(
    [
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
        *("REQUESTS_CA_BUNDLE", "DOCKER_HOST", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"),
    ]
)
SECRET = frozenset(["SPIN_TOKEN"])


def main() -> None:
    environment = scrub_environment()
    hide()
    rules = _checked(environment)
    sys.exit(INVALID if rules is None else asyncio.run(_supervise(environment, rules)))


def _checked(environment: Mapping[str, str]) -> bytes | None:
    """The launcher's rules; None when the configuration is wrong, which has been said. In a process of its own: what it imports does not stay."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os._exit(_check(environment, writing))
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        rules = said.read()
    return None if os.waitpid(child, 0)[1] else rules


def _check(environment: Mapping[str, str], writing: int) -> int:
    from spin_runtime.settings import SettingsInvalid, from_environment

    try:
        settings = from_environment(environment)
        faults = _faults(settings, environment)
    except SettingsInvalid as error:
        faults = error.faults
    if faults:
        sys.stderr.writelines(f"spin-runtime: {fault}\n" for fault in faults)
        sys.stderr.flush()
        return INVALID
    with os.fdopen(writing, "wb") as rules:
        rules.write(_rules(settings, environment))
    return 0


def _faults(settings: "Settings", environment: Mapping[str, str]) -> list[str]:
    if settings.accounts is None:
        return []
    files = (settings.tls_cert, settings.tls_key, settings.client_ca, settings.ca_bundle)
    return accounts.faults(
        settings.home,
        settings.accounts,
        settings.kernel_uids[0] if settings.isolation == "process" else None,
        [file for file in files if file is not None],
        _brokers_files(settings.secret_managers, environment),
    )


def _rules(settings: "Settings", environment: Mapping[str, str]) -> bytes:
    from spin_runtime.kernels.rules import isolation_of, launcher_rules

    passed = server_environment(environment)
    # Kernels' specifications are where the server finds them.
    os.environ.update(passed)
    return json.dumps(asdict(launcher_rules(isolation_of(settings), settings.home / "var", passed, settings.accounts))).encode()


def _brokers_files(secret_managers: Path | None, environment: Mapping[str, str]) -> list[Path]:
    if secret_managers is None:
        return []
    from spin_runtime.broker.managers.configuration import load

    return [secret_managers, *load(secret_managers, environment).files()]


def server_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the server needs: settings that are no secrets, where programs and kernels are, the language."""
    passed = {name: value for name, value in environment.items() if name.startswith(PASSED_ON) or name in ALSO_PASSED_ON}
    if accounts.chosen(environment) is not None:
        # The home of who started the runtime is not the server's, nor its kernels'.
        passed["HOME"] = str(Path(environment.get("SPIN_HOME", "").strip() or "/opt/spin") / "var" / "home")
    return {name: value for name, value in passed.items() if name not in SECRET}


def launcher_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the interpreter needs; kernels begin as copies of this process, and get their own from the server."""
    return broker_environment(environment) | {name: value for name, value in environment.items() if name == "TMPDIR"}


def broker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the interpreter needs; the rest comes over standard input."""
    return {name: value for name, value in environment.items() if name in ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH")}


@dataclass(frozen=True)
class Children:
    broker: asyncio.subprocess.Process
    launcher: asyncio.subprocess.Process
    server: asyncio.subprocess.Process

    def kill(self) -> None:
        for process in (self.broker, self.launcher, self.server):
            if process.returncode is None:
                process.kill()


async def _supervise(environment: Mapping[str, str], rules: bytes) -> int:
    stopping = _on_signals()
    children = stopping.children = await _started(environment)
    await _hand_over(children.broker, json.dumps(dict(environment)).encode())
    await _hand_over(children.launcher, rules)
    return await _until_end(children, stopping)


async def _started(environment: Mapping[str, str]) -> Children:
    users, own = accounts.chosen(environment), os.getpid()
    broker_uid, server_uid = (users.broker, users.server) if users else (None, None)
    brokers_end, from_broker = socket.socketpair()
    launchers_end, from_launcher = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with brokers_end, from_broker, launchers_end, from_launcher:
        prepare = child_of(own, new_privileges=False)
        broker = await _spawn("spin_runtime.broker.process", [brokers_end], broker_environment(environment), broker_uid, prepare)
        # Kernels may become root only where they share the user of who started the runtime.
        prepare = child_of(own, new_privileges=users is None, rights=NAMESPACES if accounts.sandboxed(environment) else OWN_USERS)
        launcher = await _spawn("spin_runtime.launcher", [launchers_end], launcher_environment(environment), None, prepare)
        prepare = child_of(own, new_privileges=users is None)
        server = await _spawn("spin_runtime.serve", [from_broker, from_launcher], server_environment(environment), server_uid, prepare)
    return Children(broker, launcher, server)


class Stopping:
    """What the signals ask for."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.children: Children | None = None

    def on_signal(self) -> None:
        if not self.asked.is_set():
            self.asked.set()
            return
        # Asked twice: now. Kernels die with the server, and the next boot records what was lost.
        if self.children is not None:
            self.children.kill()
        os._exit(1)


def _on_signals() -> Stopping:
    stopping = Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.on_signal)
    return stopping


async def _spawn(
    module: str, ends: Sequence[socket.socket], environment: Mapping[str, str], uid: int | None, prepare: Callable[[], None]
) -> asyncio.subprocess.Process:
    """A process that has these ends of socket pairs, whose standard input is held here, and which a terminal's Ctrl-C does not reach."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *(str(end.fileno()) for end in ends)),
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE,
        pass_fds=[end.fileno() for end in ends],
        process_group=0,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
        preexec_fn=prepare,
    )


async def _hand_over(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        await process.stdin.drain()
    except ConnectionError:
        pass  # it has ended; who waits for it sees how
    process.stdin.close()


async def _until_end(children: Children, stopping: Stopping) -> int:
    asked = asyncio.create_task(stopping.asked.wait())
    ends = [asyncio.create_task(process.wait()) for process in (children.broker, children.launcher, children.server)]
    await asyncio.wait((asked, *ends), return_when=asyncio.FIRST_COMPLETED)
    if asked.done():
        assert children.server.stdin is not None
        children.server.stdin.close()
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    # The others notice, and end by themselves.
    await asyncio.wait(ends, timeout=PATIENCE_S)
    children.kill()
    return exit_status(await asyncio.gather(*ends))


def exit_status(statuses: Sequence[int]) -> int:
    """Of the runtime, from those of its processes; negative ones are signals."""
    if INVALID in statuses:
        return INVALID
    return 1 if any(statuses) else 0


if __name__ == "__main__":
    main()
