"""The runtime's side of one kernel's pod: it dials the agent, carries sockets, and asks on the control connection.

In the kernel's local box it listens where jupyter_client expects the kernel to. Each connection there is one to the pod. What its programs connect to
(the broker's socket, the egress proxy's) is reached by connections that wait in the pod for their turn.
"""

import asyncio
import base64
import contextlib
import os
import ssl
import tempfile
from collections.abc import Mapping
from typing import Any

from spin_runtime.launcher.pods import certificates, streams

ASK_S, HANDSHAKE_S, DIAL_S = 30.0, 15.0, 20.0
# Of the connections that wait in the pod, for each of its sockets.
WAITING = 2
# After one that could not be made.
AGAIN_S = 1.0
# What an agent may say of its kernel's stderr.
STDERR = 1 << 18
# Of what its programs have open at once; more wait in the pod.
MOST = 256
BACKLOG = 128


class LineFailed(Exception):
    """The text says why the pod was not reached, or did not do what it was asked."""


def tls(runtime: certificates.Side, agent: certificates.Side, private: str) -> ssl.SSLContext:
    """`private` is where the key may lie for a moment: it can be read from a file alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=agent.certificate.decode())
    with tempfile.NamedTemporaryFile(dir=private) as file:
        file.write(runtime.both)
        file.flush()
        context.load_cert_chain(file.name)
    return context


class Line:
    def __init__(self, address: str, port: int, context: ssl.SSLContext, stderr: int) -> None:
        """`stderr` is a file that is open for writing, and the line's to close."""
        self._address, self._port, self._context, self._stderr = address, port, context, stderr
        self._told = 0
        self._control: streams.Streams | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._led: dict[str, str] = {}
        self._places = asyncio.Semaphore(MOST)
        self.pid = 0
        # What the agent said at the kernel's end; empty when the connection went before.
        self.last_word: Mapping[str, Any] = {}
        self.ended = asyncio.Event()

    async def begin(self) -> None:
        """Has the kernel started. Raises LineFailed; OSError, TimeoutError where the agent is not there (yet)."""
        reader, writer = await self._dialled({"open": "control"})
        try:
            async with asyncio.timeout(ASK_S):
                said = await streams.read_object(reader)
        except BaseException:
            writer.close()
            raise
        if not isinstance(said.get("started"), int):
            writer.close()
            raise LineFailed(f"the kernel's program did not start in its pod: {str(said.get('failed'))[:500]}")
        self.pid, self._control = said["started"], (reader, writer)
        self._keep(self._listened(reader))

    async def _dialled(self, first: dict[str, Any]) -> streams.Streams:
        async with asyncio.timeout(DIAL_S):
            reader, writer = await asyncio.open_connection(
                self._address, self._port, ssl=self._context, server_hostname=certificates.AGENT, ssl_handshake_timeout=HANDSHAKE_S
            )
            try:
                streams.keep_alive(writer)
                await streams.write_object(writer, first)
            except BaseException:
                writer.close()
                raise
        return reader, writer

    async def _listened(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                said = await streams.read_object(reader)
                if "stderr" in said:
                    self._write(said["stderr"])
                if "ended" in said:
                    self.last_word = said
                    return
                answer = self._answers.get(said.get("id", 0))
                if answer is not None and not answer.done():
                    answer.set_result(said)
        except (OSError, ValueError, TypeError):
            pass  # gone, or no agent of ours any more: the kernel's end either way
        finally:
            self._over()

    def _over(self) -> None:
        self.ended.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(LineFailed("the kernel's pod is gone"))

    def _write(self, encoded: str) -> None:
        data = base64.b64decode(encoded, validate=True)[: STDERR - self._told]
        self._told += len(data)
        # A full disk is no reason to end the kernel.
        with contextlib.suppress(OSError):
            os.write(self._stderr, data)

    async def ask(self, do: str, argument: object) -> None:
        """Raises LineFailed."""
        if self._control is None or self.ended.is_set():
            raise LineFailed("the kernel's pod is gone")
        self._last += 1
        number = self._last
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            async with asyncio.timeout(ASK_S):
                await streams.write_object(self._control[1], {"id": number, "do": do, "with": [argument]})
                said = await answer
        except (OSError, TimeoutError) as error:
            raise LineFailed(f"the kernel's pod does not answer: {type(error).__name__}") from None
        finally:
            self._answers.pop(number, None)
        if "error" in said:
            raise LineFailed(str(said["error"])[:500])

    async def listen(self, path: str, name: str) -> None:
        """Leads connections to a local socket to the kernel's of that name."""

        async def carried(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                line = await self._dialled({"open": "connect", "name": name})
            except (OSError, TimeoutError):
                writer.transport.abort()
                return
            await streams.carry((reader, writer), line)

        self._servers.append(await asyncio.start_unix_server(carried, path, backlog=BACKLOG))

    def lead(self, name: str, path: str) -> None:
        """Leads what programs of the kernel's connect to in the pod, at that name, to a local socket."""
        known = name in self._led
        self._led[name] = path
        for _ in range(0 if known else WAITING):
            self._keep(self._leading(name))

    async def _leading(self, name: str) -> None:
        while not self.ended.is_set():
            await self._places.acquire()
            try:
                line = await self._awaited(name)
            except (OSError, TimeoutError):
                self._places.release()
                await asyncio.sleep(AGAIN_S)
                continue
            # The next one waits while this one is carried.
            self._keep(self._joined(self._led[name], line))

    async def _awaited(self, name: str) -> streams.Streams:
        """One that a program of the kernel's is at the other end of."""
        reader, writer = await self._dialled({"open": "accept", "name": name})
        try:
            await streams.read_object(reader)
        except BaseException:
            writer.close()
            raise
        return reader, writer

    async def _joined(self, path: str, line: streams.Streams) -> None:
        try:
            await streams.carry(await asyncio.open_unix_connection(path), line)
        except OSError:
            line[1].close()
        finally:
            self._places.release()

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """The kernel ends with it."""
        for server in self._servers:
            server.close()
        if self._control is not None:
            self._control[1].close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._over()
        if self._stderr >= 0:
            os.close(self._stderr)
            self._stderr = -1
