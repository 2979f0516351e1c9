"""A fake platform and runtime, and a signed-in client on them."""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spin_client.cli.main import execute
from spin_client.sdk import MemoryStore, Platform, RuntimeSession, pairing
from spin_envelope.pairing import SpinToken
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.platform import LINK_TOKEN, FakePlatform
from tests.fakes.runtime import FakeRuntime


@pytest.fixture(autouse=True)
def private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the developer's own sign-in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("SPIN_TOKEN_STORE", "file")
    for name in ("SPIN_URL", "SPIN_WORKSPACE", "SPIN_API_KEY", "SPIN_DEBUG", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
async def control_plane() -> AsyncIterator[FakePlatform]:
    async with FakePlatform().serving() as fake:
        yield fake


@pytest.fixture
async def runtime() -> AsyncIterator[FakeRuntime]:
    async with FakeRuntime().serving() as fake:
        yield fake


@pytest.fixture
async def platform(control_plane: FakePlatform) -> AsyncIterator[Platform]:
    async with await Platform.connect(control_plane.url, store=MemoryStore()) as connected:
        await connected.sign_in_with_link(LINK_TOKEN)
        yield connected


@dataclass
class Bench:
    """A paired and confirmed runtime in a workspace."""

    control_plane: FakePlatform
    runtime: FakeRuntime
    platform: Platform
    workspace_id: str
    registered: workspaces_pb2.Runtime

    def notebook(self, *sources: str, linked: tuple[int, ...] = ()) -> notebooks_pb2.Notebook:
        cells = [notebooks_pb2.Cell(id=f"cell-{i}", cell_type="python", source=s, linked=i in linked) for i, s in enumerate(sources)]
        return self.control_plane.add_notebook(self.workspace_id, "Notebook", cells)

    async def open(self, notebook: notebooks_pb2.Notebook | None = None) -> RuntimeSession:
        notebook = notebook or self.notebook("pass")
        return await RuntimeSession.open(self.platform, self.workspace_id, notebook.id)


@pytest.fixture
async def bench(control_plane: FakePlatform, runtime: FakeRuntime, platform: Platform) -> Bench:
    workspace = control_plane.add_workspace()
    request = workspaces_pb2.CreateRuntimeRequest(workspace_id=workspace.id, name="here", url=runtime.url, is_default=True)
    registered = (await platform.runtimes.CreateRuntime(request)).runtime
    begun = await pairing.begin(platform, registered)
    runtime.token = SpinToken.parse(begun.token)
    fingerprint = await pairing.enrol(platform, begun)
    await pairing.confirm(platform, workspace.id, registered.id, fingerprint)
    return Bench(control_plane, runtime, platform, workspace.id, registered)


@dataclass
class Ran:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Spinctl = Callable[..., Awaitable[Ran]]


@pytest.fixture
def spinctl(control_plane: FakePlatform, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Spinctl:
    """Runs a command line as the program does, in a thread beside the fake platform's loop."""
    monkeypatch.setenv("SPIN_URL", control_plane.url)

    async def run(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsysbinary.readouterr()
        status = await asyncio.to_thread(execute, list(arguments))
        captured = capsysbinary.readouterr()
        return Ran(status, captured.out.decode(), captured.err.decode())

    return run


@pytest.fixture
async def signed_in(spinctl: Spinctl) -> Spinctl:
    assert (await spinctl("login", stdin=LINK_TOKEN)).status == 0
    return spinctl
