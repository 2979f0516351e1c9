"""The peers: a bare jupyter_client, and Jupyter Server's WebSocket as its own front end uses it."""

import asyncio
import contextlib
import json
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import start_new_async_kernel


@contextlib.asynccontextmanager
async def bare_kernel() -> AsyncIterator[AsyncKernelClient]:
    """jupyter_client and ipykernel as they come."""
    manager, client = await start_new_async_kernel(kernel_name="python3")
    try:
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

    async def run(self, code: str) -> tuple[float, int]:
        """Seconds until reply and idle, and the bytes of stream text that arrived."""
        identifier = uuid.uuid4().hex
        begin = time.perf_counter()
        await self._socket.send_str(json.dumps(self._request(identifier, code)))
        replied = idle = False
        text = 0
        while not (replied and idle):
            message: dict[str, Any] = json.loads((await self._socket.receive(timeout=120)).data)
            if message["parent_header"].get("msg_id") != identifier:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            replied |= kind == "execute_reply"
            idle |= kind == "status" and content["execution_state"] == "idle"
            text += len(content["text"]) if kind == "stream" else 0
        return time.perf_counter() - begin, text

    def _request(self, identifier: str, code: str) -> dict[str, Any]:
        header = {"msg_id": identifier, "username": "bench", "session": self._session, "msg_type": "execute_request", "version": "5.4", "date": ""}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
        return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}


@contextlib.asynccontextmanager
async def jupyter_server() -> AsyncIterator[ServerSocket]:
    """Jupyter Server with its output limits off, since the default drops output, and one kernel."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
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
        arguments = [f"--{name}={value}" for name, value in options.items()]
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "jupyter_server", *arguments, stdout=quiet, stderr=quiet)
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
                await _answering(http)
                async with http.post("/api/kernels", json={"name": "python3"}) as reply:
                    kernel = (await reply.json())["id"]
                async with http.ws_connect(f"/api/kernels/{kernel}/channels", max_msg_size=0) as channel:
                    yield ServerSocket(channel)
        finally:
            process.terminate()
            await process.wait()


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
