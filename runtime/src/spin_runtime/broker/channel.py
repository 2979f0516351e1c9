"""Whole messages over the one stream between server and broker.

    message = u32 length, big-endian | bytes

- A length is checked before anything of its message is kept: the other side may be in an attacker's hands.
- What is sent in one turn of the event loop leaves in one write.
- A side that does not read is noticed: `drained` waits for it.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

LENGTH = 4
# A document of 4 MiB (docs/protocol.md, section 1), and what is around it.
MAX_MESSAGE = (4 << 20) + (128 << 10)


class Channel(asyncio.Protocol):
    def __init__(self, receive: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self._receive, self._lost = receive, lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._arrived = bytearray()
        self._leaving: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        arrived, at = self._arrived, 0
        arrived += data
        while len(arrived) - at >= LENGTH:
            length = int.from_bytes(arrived[at : at + LENGTH])
            if length > MAX_MESSAGE:
                self.abort()
                return
            if len(arrived) - at - LENGTH < length:
                break
            at += LENGTH + length
            self._receive(bytes(arrived[at - length : at]))
        del arrived[:at]

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def drained(self) -> None:
        """Returns when the other side reads, or is gone."""
        await self._writable.wait()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._writable.set()
        self._lost()

    def send(self, message: bytes) -> None:
        """Does nothing once the other side is gone."""
        if not self._leaving:
            self._loop.call_soon(self._flush)
        self._leaving += (len(message).to_bytes(LENGTH), message)

    def _flush(self) -> None:
        leaving, self._leaving = self._leaving, []
        if self._transport is not None:
            self._transport.write(b"".join(leaving))

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """What was sent still leaves."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def open(self, end: socket.socket) -> None:
        """Over this end of a socket pair, on which messages may wait already."""
        await self._loop.create_unix_connection(lambda: self, sock=end)
