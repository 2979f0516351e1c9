"""`spin-runtime`: starts the broker and the server, each a process of its own, and ends with them.

- The exit status is 0 after an orderly stop, 2 when the configuration or the disk is wrong, 1 when a process ended that should not have.
- The first SIGTERM or SIGINT asks for an orderly stop, the second one does not wait. No process outlives this one.
- This process imports the standard library alone: it is small, and may be the only one that runs as root.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spin_runtime import accounts
from spin_runtime.hardening import BROKER_GONE, child_of, hide, scrub_environment

INVALID = 2
# How long a process may take to end by itself once the other has gone.
PATIENCE_S = 10.0
PASSED_ON = ("SPIN_", "LC_", "JUPYTER", "IPYTHON", "XDG_", "PYTHON", "OTEL_", "GRPC_", "SSL_CERT_")
ALSO_PASSED_ON = frozenset(
    [
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
        *("REQUESTS_CA_BUNDLE", "DOCKER_HOST"),
    ]
)
SECRET = frozenset(["SPIN_TOKEN"])


def main() -> None:
    environment = scrub_environment()
    hide()
    status = _checked(environment)
    sys.exit(status or asyncio.run(_supervise(environment)))


def _checked(environment: Mapping[str, str]) -> int:
    """Says what is wrong with the configuration: in a process of its own, so that what it imports does not stay."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    faults = _faults(environment)
    sys.stderr.writelines(f"spin-runtime: {fault}\n" for fault in faults)
    sys.stderr.flush()
    os._exit(INVALID if faults else 0)


def _faults(environment: Mapping[str, str]) -> list[str]:
    from spin_runtime.settings import SettingsInvalid, from_environment

    try:
        settings = from_environment(environment)
    except SettingsInvalid as error:
        return error.faults
    if settings.accounts is None:
        return []
    files = (settings.tls_cert, settings.tls_key, settings.client_ca, settings.ca_bundle)
    return accounts.faults(
        settings.home, settings.accounts, [file for file in files if file is not None], _brokers_files(settings.secret_managers, environment)
    )


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


def broker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the interpreter needs; the rest comes over standard input."""
    return {name: value for name, value in environment.items() if name in ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH")}


@dataclass(frozen=True)
class Children:
    broker: asyncio.subprocess.Process
    server: asyncio.subprocess.Process

    def kill(self) -> None:
        for process in (self.broker, self.server):
            if process.returncode is None:
                process.kill()


async def _supervise(environment: Mapping[str, str]) -> int:
    stopping = _on_signals()
    brokers_end, servers_end = socket.socketpair()
    users = accounts.chosen(environment)
    broker_uid, server_uid = (users.broker, users.server) if users else (None, None)
    with brokers_end, servers_end:
        brokers = child_of(os.getpid(), new_privileges=False)
        broker = await _spawn("spin_runtime.broker.process", brokers_end, broker_environment(environment), broker_uid, brokers)
        # What kernels start may become root only where it shares the user of who started the runtime. The launcher, which the server starts,
        # needs all that it takes to isolate a kernel.
        servers = child_of(os.getpid(), new_privileges=users is None, all_rights=accounts.sandboxed(environment))
        server = await _spawn("spin_runtime.serve", servers_end, server_environment(environment), server_uid, servers)
    children = Children(broker, server)
    stopping.children = children
    await _hand_over(broker, environment)
    return await _until_end(children, stopping)


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
    module: str, end: socket.socket, environment: Mapping[str, str], uid: int | None, prepare: Callable[[], None]
) -> asyncio.subprocess.Process:
    """A process that has this end of the socket pair, whose standard input is held here, and which a terminal's Ctrl-C does not reach."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, str(end.fileno())),
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE,
        pass_fds=(end.fileno(),),
        process_group=0,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
        preexec_fn=prepare,
    )


async def _hand_over(broker: asyncio.subprocess.Process, environment: Mapping[str, str]) -> None:
    assert broker.stdin is not None
    try:
        broker.stdin.write(json.dumps(dict(environment)).encode())
        await broker.stdin.drain()
    except ConnectionError:
        pass  # it has ended; who waits for it sees how
    broker.stdin.close()


async def _until_end(children: Children, stopping: Stopping) -> int:
    asked = asyncio.create_task(stopping.asked.wait())
    ends = asyncio.create_task(children.broker.wait()), asyncio.create_task(children.server.wait())
    await asyncio.wait((asked, *ends), return_when=asyncio.FIRST_COMPLETED)
    if asked.done():
        assert children.server.stdin is not None
        children.server.stdin.close()
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    # The other one notices, and ends by itself.
    await asyncio.wait(ends, timeout=PATIENCE_S)
    children.kill()
    broker, server = await asyncio.gather(*ends)
    return exit_status(broker, server)


def exit_status(broker: int, server: int) -> int:
    """Of the runtime, from those of its processes; negative ones are signals."""
    told = [status for status in (server, broker) if status != BROKER_GONE]
    if INVALID in told:
        return INVALID
    return 0 if told == [0, 0] else 1


if __name__ == "__main__":
    main()
