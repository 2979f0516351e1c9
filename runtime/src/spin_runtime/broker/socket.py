"""Where kernels reach the broker: one Unix socket per kernel, one request per connection.

    request, reply = u32 length, big-endian | protobuf

- Only the runtime's user may enter the sockets' folder, and use them. Where kernels are other users, these may enter and not list it, and the
  sockets' names are random. A ticket counts on its own kernel's socket alone.
- Sizes, waiting and the number of connections are bounded before anything is read. A kernel that hangs up stops its operation; so does
  the end of its run.
"""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from pathlib import Path

from google.protobuf.message import DecodeError

from spin_runtime.broker.performing import failure
from spin_runtime.broker.refusals import log
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import broker_pb2

MAX_REQUEST = 1 << 20
REQUEST_SECONDS = 5.0
OPERATION_SECONDS = 900.0
CONNECTIONS_PER_KERNEL = 32
# The kernel of Linux takes no longer path for a socket, with its zero byte.
MAX_PATH = 107

# Given the kernel's epoch and a request: the replies.
Serve = Callable[[int, broker_pb2.UseRequest], AsyncIterator[broker_pb2.UseReply]]


class UseSockets:
    def __init__(self, folder: Path, serve: Serve) -> None:
        self._serve, temporary = serve, len(str(folder / _name(99_999_999))) > MAX_PATH
        self._folder = Path(tempfile.mkdtemp(prefix="spin-")) if temporary else folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Sockets of an earlier boot lead nowhere, and nothing else belongs here.
        for old in folder.iterdir():
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink()
        others_enter = bool(self._folder.stat().st_mode & 0o001)
        self._mode = 0o666 if others_enter else 0o600
        self._paths: dict[int, str] = {}
        self._servers: dict[int, asyncio.Server] = {}
        self._tasks: dict[int, set[asyncio.Task[None]]] = {}

    def path(self, kernel_epoch: int) -> str:
        """Of an open one."""
        return self._paths[kernel_epoch]

    async def open(self, kernel_epoch: int) -> None:
        self._tasks[kernel_epoch] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._accept(kernel_epoch, reader, writer)

        path = self._paths[kernel_epoch] = str(self._folder / _name(kernel_epoch))
        self._servers[kernel_epoch] = await asyncio.start_unix_server(accept, path, limit=MAX_REQUEST)
        os.chmod(path, self._mode)  # noqa: PTH101 - one system call on a local folder

    async def close(self, kernel_epoch: int) -> None:
        server = self._servers.pop(kernel_epoch, None)
        if server is None:
            return
        server.close()
        tasks = self._tasks.pop(kernel_epoch)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(FileNotFoundError):
            os.unlink(self._paths.pop(kernel_epoch))  # noqa: PTH108 - as above

    async def close_all(self) -> None:
        for kernel_epoch in list(self._servers):
            await self.close(kernel_epoch)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _accept(self, kernel_epoch: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, tasks = asyncio.current_task(), self._tasks.get(kernel_epoch)
        assert task is not None
        try:
            if tasks is not None and len(tasks) < CONNECTIONS_PER_KERNEL:
                tasks.add(task)
                await self._converse(kernel_epoch, reader, writer)
        except asyncio.CancelledError:
            pass  # the kernel ended; nobody waits for this task but the event loop's own callback
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            log.info("use_connection_broken", kernel_epoch=kernel_epoch)
        finally:
            if tasks is not None:
                tasks.discard(task)
            writer.close()

    async def _converse(self, kernel_epoch: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(REQUEST_SECONDS):
            request = await read_request(reader)
        if request is None:
            await _send(writer, failure(reasons_pb2.ERROR_REASON_INVALID_ARGUMENT, "The request is too long or no UseRequest."))
            return
        answering = asyncio.create_task(self._answer(kernel_epoch, request, writer))
        hung_up = asyncio.create_task(_hang_up(reader))
        try:
            await asyncio.wait((answering, hung_up), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hung_up.cancel()
            if not answering.done():
                answering.cancel()
            with suppress(asyncio.CancelledError):
                await answering

    async def _answer(self, kernel_epoch: int, request: broker_pb2.UseRequest, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(OPERATION_SECONDS), aclosing(self._serve(kernel_epoch, request)) as replies:  # type: ignore[type-var]
                async for reply in replies:
                    await _send(writer, reply)
        except TimeoutError:
            text = f"The operation took longer than {OPERATION_SECONDS:.0f} s and was stopped."
            await _send(writer, failure(reasons_pb2.ERROR_REASON_OPERATION_FAILED, text))


def _name(kernel_epoch: int) -> str:
    return f"kernel-{kernel_epoch}-{secrets.token_hex(8)}.sock"


async def read_request(reader: asyncio.StreamReader) -> broker_pb2.UseRequest | None:
    """One request; None when it is too long or does not parse."""
    length = int.from_bytes(await reader.readexactly(4))
    if length > MAX_REQUEST:
        return None
    try:
        return broker_pb2.UseRequest.FromString(await reader.readexactly(length))
    except DecodeError:
        return None


async def _send(writer: asyncio.StreamWriter, reply: broker_pb2.UseReply) -> None:
    data = reply.SerializeToString()
    writer.write(len(data).to_bytes(4) + data)
    await writer.drain()


async def _hang_up(reader: asyncio.StreamReader) -> None:
    """Returns when the other side closes; more bytes than one request are a reason to stop, too."""
    await reader.read(1)
