"""A real spin-runtime in a process of its own, beside the platform's: for attacks between runtimes, and for starts that must fail."""

import os
import secrets
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

from scripts.platform import programs
from spin_client.sdk import Platform, every_page, pairing
from spinapis.workspace.v1 import workspaces_pb2


class ExtraRuntime:
    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self.url = f"http://localhost:{port}"
        self.record = workspaces_pb2.Runtime()
        self.token = ""
        self.process: subprocess.Popen[str] | None = None

    @property
    def log(self) -> Path:
        return self.home / "runtime.log"

    def environment(self, token: str, **extra: str) -> Mapping[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        home = self.home / "home"
        own = {
            "SPIN_TOKEN": token,
            "SPIN_HOME": str(home),
            "SPIN_LISTEN": "0.0.0.0",
            "SPIN_RUNTIME_PORT": str(self.port),
            "SPIN_SPARE_KERNELS": "0",
            "SPIN_UIDS": "shared",
        }
        return kept | own | extra

    def start(self, token: str, **extra: str) -> None:
        self.token = token
        with self.log.open("ab") as log:
            command = [str(programs.BIN / "spin-runtime")]
            self.process = subprocess.Popen(command, env=self.environment(token, **extra), stdout=log, stderr=log, text=True, start_new_session=True)

    def refused(self, token: str) -> tuple[int, str]:
        """Exit status and what it says of a start that must fail."""
        environment = self.environment(token)
        done = subprocess.run([str(programs.BIN / "spin-runtime")], env=environment, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout + done.stderr

    async def register(self, platform: Platform, workspace_name: str) -> workspaces_pb2.Runtime:
        """The runtime's record in the workspace, which is made where it is missing."""
        workspace_id = await workspace_named(platform, workspace_name)
        request = workspaces_pb2.CreateRuntimeRequest(
            workspace_id=workspace_id, name=f"Extra {secrets.token_hex(4)}", url=self.url, is_default=workspace_name != "Sample"
        )
        self.record = (await platform.runtimes.CreateRuntime(request)).runtime
        return self.record

    async def pair(self, platform: Platform, workspace_name: str) -> None:
        """Starts it, enrols it, confirms it."""
        pending = await pairing.begin(
            platform, await self.register(platform, workspace_name), hosts=[f"{address}:{self.port}" for address in own_addresses()]
        )
        self.start(pending.token)
        fingerprint = await pairing.enrol(platform, pending, wait_s=60)
        await pairing.confirm(platform, self.record.workspace_id, self.record.id, fingerprint)

    def stop(self) -> int:
        if self.process is None:
            return 0
        self.process.terminate()
        return self.process.wait(30)


def own_addresses() -> list[str]:
    """This machine's addresses that are not loopback."""
    every = [address for addresses in psutil.net_if_addrs().values() for address in addresses if address.family is socket.AF_INET]
    return [address.address for address in every if not address.address.startswith("127.")]


async def workspace_named(platform: Platform, name: str) -> str:
    async for found in every_page(platform.workspaces.ListWorkspaces, workspaces_pb2.ListWorkspacesRequest(), "workspaces"):
        if found.name == name:
            return str(found.id)
    created = await platform.workspaces.CreateWorkspace(workspaces_pb2.CreateWorkspaceRequest(name=name))
    return created.workspace.id
