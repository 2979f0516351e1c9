"""What runtime and pod say to each other over one TLS connection: frames of a length and that many bytes. Standard library alone: the pod runs it.

- The first frame is the runtime's and says in JSON what the connection is for; see the agent.
- A stream's bytes follow in frames. An empty one is the end of that direction, which TLS cannot say by itself: the other direction goes on.
- Nothing is read that the other side has not taken yet.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable
from typing import Any

HEAD = struct.Struct(">I")
PIECE = 1 << 16
KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4))

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def read(reader: asyncio.StreamReader) -> bytes:
    """Empty at the direction's end. Raises ConnectionError when the other side is gone, or speaks another language."""
    try:
        (length,) = HEAD.unpack(await reader.readexactly(HEAD.size))
        if length > PIECE:
            raise ConnectionError(f"a frame of {length} bytes")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise ConnectionError("the connection ended") from None


async def write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(HEAD.pack(len(data)) + data)
    await writer.drain()


async def read_object(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Raises ConnectionError."""
    try:
        said = json.loads(await read(reader))
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise ConnectionError("what came is no object")
    return said


async def write_object(writer: asyncio.StreamWriter, said: dict[str, Any]) -> None:
    await write(writer, json.dumps(said).encode())


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """A machine that went without a word shows within half a minute."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


async def carry(local: Streams, line: Streams) -> None:
    """Between a socket of this side and the connection, until both directions have ended or one is broken."""
    try:
        await _together(_sent(local[0], line[1]), _received(line[0], local[1]))
    except (OSError, RuntimeError):
        local[1].transport.abort()
        line[1].transport.abort()
    finally:
        local[1].close()
        line[1].close()


async def _together(*directions: Awaitable[None]) -> None:
    tasks = [asyncio.ensure_future(direction) for direction in directions]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _sent(reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
    while data := await reader.read(PIECE):
        await write(line, data)
    await write(line, b"")


async def _received(line: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await read(line):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
