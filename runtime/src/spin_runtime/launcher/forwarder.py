"""From 127.0.0.1 in a kernel's own network to the proxy's socket in its box: it carries bytes and knows nothing.

It needs the standard library alone.
"""

import asyncio
import os
import signal
import socket

HOST = "127.0.0.1"
PORT = 3128
BACKLOG = 128
PIECE = 1 << 16
# Programs know these in either case.
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
NOT_PROXIED = "localhost,127.0.0.1,::1"


def environment(port: int = PORT) -> dict[str, str]:
    """What tells programs in the kernel about the proxy."""
    said = dict.fromkeys(VARIABLES, f"http://{HOST}:{port}") | {"NO_PROXY": NOT_PROXIED}
    return said | {name.lower(): value for name, value in said.items()}


def listening(port: int = PORT) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(BACKLOG)
    return listener


def carry(listener: socket.socket, path: str) -> None:
    """Returns never."""
    # An interrupt is for the kernel's program.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_serve(listener, path))


async def _serve(listener: socket.socket, path: str) -> None:
    async def carried(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(path)
            await asyncio.gather(_copied(reader, back), _copied(there, writer))
            back.close()
        except OSError:
            writer.transport.abort()
        writer.close()

    async with await asyncio.start_server(carried, sock=listener) as server:
        await server.serve_forever()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()
