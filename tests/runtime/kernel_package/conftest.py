"""A real kernel, driven by jupyter_client, with a real broker's socket beside it that answers what the test says."""

import ast
import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import KernelManager

from spin_runtime.broker.socket import UseSockets
from spinapis.runtime.v1 import broker_pb2

SECRET = b"t" * 32


@dataclass
class Cell:
    """What a cell gave."""

    reply: Mapping[str, Any]
    outputs: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.reply["status"] == "ok")

    def stream(self, name: str = "stdout") -> str:
        return "".join(o["content"]["text"] for o in self.outputs if o["msg_type"] == "stream" and o["content"]["name"] == name)

    def bundles(self, msg_type: str) -> list[Mapping[str, Any]]:
        return [output["content"]["data"] for output in self.outputs if output["msg_type"] == msg_type]

    @property
    def result(self) -> Mapping[str, Any]:
        (bundle,) = self.bundles("execute_result")
        return bundle


@dataclass
class Notebook:
    manager: KernelManager
    client: AsyncKernelClient
    metadata: Mapping[str, Any]

    async def send(self, code: str, ticket: bool = True) -> str:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": False}
        message = self.client.session.msg("execute_request", content, metadata={"spin": self.metadata} if ticket else {})
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    async def outputs(self, msg_id: str) -> AsyncIterator[Mapping[str, Any]]:
        """Until the cell is idle."""
        while True:
            message = await self.client.get_iopub_msg(timeout=30)
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
            yield message

    async def ended(self, msg_id: str) -> Cell:
        outputs = [output async for output in self.outputs(msg_id)]
        while True:
            reply = await self.client.get_shell_msg(timeout=30)
            if reply["parent_header"].get("msg_id") == msg_id:
                return Cell(reply["content"], outputs)

    async def run(self, code: str, ticket: bool = True) -> Cell:
        return await self.ended(await self.send(code, ticket))

    async def value(self, code: str) -> Any:
        """The value of the code's last expression, which must be a literal."""
        cell = await self.run(code)
        assert cell.ok, cell.reply
        return ast.literal_eval(cell.result["text/plain"])


@dataclass
class Broker:
    """What the socket was asked, and what it answers."""

    answers: Sequence[broker_pb2.UseReply] = ()
    asked: list[broker_pb2.UseRequest] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    waits: bool = False

    async def serve(self, kernel_epoch: int, request: broker_pb2.UseRequest) -> AsyncIterator[broker_pb2.UseReply]:
        self.asked.append(request)
        try:
            for answer in self.answers:
                yield answer
            if self.waits:
                await asyncio.sleep(60)
        finally:
            self.stopped.set()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture(scope="module", params=["spin_kernel.app"])
def kernel(tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str], request: pytest.FixtureRequest) -> Iterator[KernelManager]:
    """One process for all tests of a file; each test finds an empty namespace."""
    folder = tmp_path_factory.mktemp("kernel")
    manager = KernelManager(kernel_name="python3", connection_file=str(folder / "connection.json"), transport="ipc", ip=str(folder / "s"))
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv = [request.param if argument == "ipykernel_launcher" else argument for argument in manager.kernel_spec.argv]
    options = ["--HistoryManager.hist_file=:memory:", "--IPKernelApp.extra_extensions=spin_kernel"]
    manager.start_kernel(extra_arguments=options, env=dict(environment), cwd=str(folder))
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.fixture
async def notebook(tmp_path: Path, broker: Broker, kernel: KernelManager) -> AsyncIterator[Notebook]:
    sockets = UseSockets(tmp_path / "run", broker.serve)
    await sockets.open(1)
    # It asks the manager whether the kernel lives: one that is only slow misses heartbeats.
    client = AsyncKernelClient(parent=kernel)
    client.load_connection_info(kernel.get_connection_info())
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        made = Notebook(kernel, client, {"socket": sockets.path(1), "ticket": base64.b64encode(SECRET).decode()})
        yield made
        await made.run("%reset -f")
    finally:
        client.stop_channels()
        await sockets.close_all()


@pytest.fixture(scope="session")
def environment() -> Mapping[str, str]:
    """Scrubbed, as the runtime's kernels have it."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


@pytest.fixture
def gone(running: Callable[[str], bool]) -> Callable[[str], bool]:
    """Whether no process with this word in its arguments is left; what was killed a moment ago may take another to end."""

    def found(word: str) -> bool:
        deadline = time.monotonic() + 10
        while running(word) and time.monotonic() < deadline:
            time.sleep(0.02)
        return not running(word)

    return found


@pytest.fixture
def running(tmp_path: Path) -> Callable[[str], bool]:
    """Whether a process with this word in its arguments is running."""

    def found(word: str) -> bool:
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and word.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    return True
            except OSError:
                continue
        return False

    return found
