"""A launcher of a test's own, begun as the supervisor begins one; and a pool with one."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from spin_runtime.accounts import Accounts
from spin_runtime.kernels.pool import DEFAULT_KERNEL, JupyterPool
from spin_runtime.kernels.rules import Isolation, launcher_rules
from spin_runtime.launcher.client import LauncherClient
from spin_runtime.launcher.rules import Rules
from tests.fakes.reachable import within

# The test's process stands for server and broker; kernels have users of their own.
APART = Accounts(os.geteuid(), os.geteuid())


class Launched:
    """Its process, and the server's end of its socket."""

    def __init__(self, rules: Rules, within: Sequence[str] = ()) -> None:
        """`within` is a command that runs the program."""
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [*within, sys.executable, "-P", "-m", "spin_runtime.launcher", str(theirs.fileno())]
            environment = {"PATH": os.environ.get("PATH", os.defpath)}
            self.process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self.process.stdin is not None
        with self.process.stdin as supervisor:
            supervisor.write(json.dumps(asdict(rules)).encode())

    def ended(self) -> int:
        """Its exit status."""
        self.channel.close()
        return self.process.wait(60)


class LaunchedPool(JupyterPool):
    """A pool with a launcher of its own, which ends with it."""

    def __init__(
        self,
        environment: Mapping[str, str],
        work: Path,
        spares: int,
        isolation: Isolation | None = None,
        default: str = DEFAULT_KERNEL,
        accounts: Accounts | None = None,
    ) -> None:
        isolation = isolation or Isolation()
        self.launched = Launched(launcher_rules(isolation, work.parent, environment, accounts), within() if accounts else ())
        super().__init__(environment, work, spares, isolation.kind, isolation.egress, LauncherClient(self.launched.channel), default)

    async def close(self) -> None:
        await super().close()
        await asyncio.to_thread(self.launched.ended)
