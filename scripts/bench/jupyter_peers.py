"""The peers: a bare jupyter_client, and Jupyter Server's WebSocket as its own front end uses it."""

import asyncio
import contextlib
import json
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

from spin_runtime.kernels.launch import IPYKERNEL_OPTIONS, quicken, spec_of

# Jupyter Server leaves Nagle's algorithm on, which waits for the other side's delayed acknowledgement when cells follow each other at once.
WITHOUT_NAGLE = """
from tornado.iostream import IOStream
set_nodelay = IOStream.set_nodelay
IOStream.set_nodelay = lambda self, value: set_nodelay(self, True)
from jupyter_server.serverapp import main
main()
"""


@dataclass(frozen=True)
class Seen:
    """What one request brought: seconds until reply and idle, bytes of stream text, and when its first and last display came."""

    seconds: float
    text: int = 0
    displays: int = 0
    display_seconds: float = 0.0


@contextlib.asynccontextmanager
async def bare_kernel(*, tuned: bool = False) -> AsyncIterator[AsyncKernelClient]:
    """jupyter_client over TCP, with ipykernel as it comes or with the program and options that our runtime gives it."""
    manager = AsyncKernelManager(kernel_name="python3")
    if tuned:
        quicken(spec_of(manager))
    await manager.start_kernel(extra_arguments=list(IPYKERNEL_OPTIONS) if tuned else [], stderr=asyncio.subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def bare_round_trip(client: AsyncKernelClient, code: str) -> float:
    """Seconds from sending the request until both the reply and the kernel's idle are there."""
    begin = time.perf_counter()
    request = client.execute(code)
    await client.get_shell_msg(timeout=30)
    while True:
        message = await client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") == request and message["content"].get("execution_state") == "idle":
            return time.perf_counter() - begin


class ServerSocket:
    """One kernel of a Jupyter Server, over its WebSocket in the default JSON protocol."""

    def __init__(self, socket_: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket_
        self._session = uuid.uuid4().hex

    async def run(self, code: str) -> Seen:
        identifier = uuid.uuid4().hex
        begin = time.perf_counter()
        await self._socket.send_str(json.dumps(self._request(identifier, code)))
        replied = idle = False
        text, shown = 0, []
        while not (replied and idle):
            message: dict[str, Any] = json.loads((await self._socket.receive(timeout=120)).data)
            if message["parent_header"].get("msg_id") != identifier:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            replied |= kind == "execute_reply"
            idle |= kind == "status" and content["execution_state"] == "idle"
            text += len(content["text"]) if kind == "stream" else 0
            if kind == "display_data":
                shown.append(time.perf_counter())
        return Seen(time.perf_counter() - begin, text, len(shown), shown[-1] - shown[0] if shown else 0.0)

    def _request(self, identifier: str, code: str) -> dict[str, Any]:
        header = {"msg_id": identifier, "username": "bench", "session": self._session, "msg_type": "execute_request", "version": "5.4", "date": ""}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
        return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}


@contextlib.asynccontextmanager
async def jupyter_server(kernels: int = 1, *, nagle: bool = True) -> AsyncIterator[Sequence[ServerSocket]]:
    """Jupyter Server with its output limits off, since the default drops output, and as many kernels."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        program = ["-m", "jupyter_server"] if nagle else ["-c", WITHOUT_NAGLE]
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(sys.executable, *program, *_arguments(port, folder), stdout=quiet, stderr=quiet)
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http, contextlib.AsyncExitStack() as channels:
                await _answering(http)
                yield [await channels.enter_async_context(_kernel(http)) for _ in range(kernels)]
        finally:
            process.terminate()
            await process.wait()


@contextlib.asynccontextmanager
async def _kernel(http: aiohttp.ClientSession) -> AsyncIterator[ServerSocket]:
    async with http.post("/api/kernels", json={"name": "python3"}) as reply:
        kernel = (await reply.json())["id"]
    async with http.ws_connect(f"/api/kernels/{kernel}/channels", max_msg_size=0) as channel:
        yield ServerSocket(channel)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _arguments(port: int, folder: str) -> list[str]:
    options = {
        "ip": "127.0.0.1",
        "port": port,
        "IdentityProvider.token": "",
        "ServerApp.password": "",
        "ServerApp.allow_root": True,
        "ServerApp.open_browser": False,
        "ServerApp.root_dir": folder,
        "ServerApp.disable_check_xsrf": True,
        "ZMQChannelsWebsocketConnection.limit_rate": False,
    }
    return [f"--{name}={value}" for name, value in options.items()]


async def _answering(http: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                async with http.get("/api/status") as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)
