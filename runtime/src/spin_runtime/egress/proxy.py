"""The forward proxy of one kernel: checks host and port, resolves once, connects to that very address, and passes bytes on.

- A name counts as its client wrote it; what it resolves to must be neither link-local, a metadata service nor this machine's loopback.
- Nothing is read that the other side has not taken yet. Connections, the time for a request and for connecting, and idle time are bounded.
- Who is refused is told which host, whose policy and who can change it. The log gets the host alone.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from spin_cells import outbound
from spin_envelope import egress
from spin_runtime.egress.head import ESTABLISHED, HeadInvalid, HeadReader, Wanted, answer
from spin_runtime.egress.policy import whose
from spinapis.envelope.v1.attach_pb2 import EgressPolicy

CONNECTIONS = 128
HEAD_S = 10.0
CROWDED_S = 1.0
CONNECT_S = 15.0
IDLE_S = 900.0
PIECE = 1 << 16

Resolve = Callable[[str, int], Awaitable[str]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def resolve(host: str, port: int) -> str:
    return await outbound.resolve(host, port, outbound.is_unreachable)


class Proxy:
    def __init__(self, policy: EgressPolicy, denied: Callable[[str], None], resolver: Resolve = resolve) -> None:
        """`denied` hears of hosts that were refused."""
        self.policy = policy
        self._denied, self._resolve = denied, resolver
        self._connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections > CONNECTIONS:
                # Closing over what was not read would take the answer away.
                async with asyncio.timeout(CROWDED_S):
                    await reader.read(PIECE)
                raise Refused(503, f"This kernel has {CONNECTIONS} connections already: close some")
            wanted = await self._wanted(reader)
            await self._passed_on((reader, writer), wanted)
        except Refused as refusal:
            writer.write(answer(refusal.status, str(refusal)))
        except (OSError, TimeoutError):
            writer.transport.abort()
        finally:
            self._connections -= 1
            writer.close()

    async def _wanted(self, reader: asyncio.StreamReader) -> Wanted:
        head = HeadReader()
        try:
            async with asyncio.timeout(HEAD_S):
                while (wanted := head.feed(await reader.read(PIECE))) is None:
                    pass
                return wanted
        except HeadInvalid as error:
            raise Refused(400, str(error)) from None

    async def _passed_on(self, client: Streams, wanted: Wanted) -> None:
        origin = await self._connected(wanted)
        try:
            if wanted.tunnel:
                client[1].write(ESTABLISHED)
            origin[1].write(wanted.head + wanted.rest)
            await _both(client, origin)
        finally:
            origin[1].close()

    async def _connected(self, wanted: Wanted) -> Streams:
        if not egress.allows(self.policy, wanted.host, wanted.port):
            self._denied(wanted.shown)
            raise Refused(403, f"{wanted.shown} is not among the hosts that this kernel may reach, by {whose(self.policy)}")
        try:
            async with asyncio.timeout(CONNECT_S):
                address = await self._resolve(wanted.host.strip("[]"), wanted.port)
                return await asyncio.open_connection(address, wanted.port)
        except outbound.AddressRefused as error:
            self._denied(wanted.shown)
            raise Refused(403, f"{wanted.shown} is never reached from kernels: {error}") from None
        except socket.gaierror:
            raise Refused(502, f"{wanted.shown} does not resolve to an address") from None
        except (OSError, UnicodeError) as error:
            raise Refused(502, f"{wanted.shown} cannot be connected to: {type(error).__name__}") from None


class _Quiet:
    """When a byte last came, from either side."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """Raises TimeoutError when both sides have been quiet for too long."""
        while True:
            try:
                async with asyncio.timeout_at(self._last + IDLE_S):
                    data = await reader.read(PIECE)
                self._last = self._loop.time()
                return data
            except TimeoutError:
                if self._loop.time() - self._last >= IDLE_S:
                    raise


async def _both(client: Streams, origin: Streams) -> None:
    quiet = _Quiet()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copied(quiet, client[0], origin[1]))
            group.create_task(_copied(quiet, origin[0], client[1]))
    except* (OSError, TimeoutError):
        client[1].transport.abort()
        origin[1].transport.abort()


async def _copied(quiet: _Quiet, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await quiet.read(reader):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
