"""From 127.0.0.1 in a kernel's own network to the proxy's socket in its box: it carries bytes and knows nothing.

It needs the standard library alone, because a container's image has no more of the runtime: `python3 -c SOURCE SOCKET PROGRAM…` leaves a process
that carries, and becomes the program.
"""

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

HOST = "127.0.0.1"
PORT = 3128
BACKLOG = 128
PIECE = 1 << 16
MOST_DESCRIPTORS = 1024
# Programs know these in either case.
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
NOT_PROXIED = "localhost,127.0.0.1,::1"


def environment() -> dict[str, str]:
    """What tells programs in the kernel about the proxy."""
    said = dict.fromkeys(VARIABLES, f"http://{HOST}:{PORT}") | {"NO_PROXY": NOT_PROXIED}
    return said | {name.lower(): value for name, value in said.items()}


def leave(path: str) -> None:
    """Leaves a process that carries, and that began to listen before this returns. It holds nothing else that is open here."""
    with _listening() as listener:
        if os.fork():
            return
        nothing, kept = os.open(os.devnull, os.O_RDWR), os.dup2(listener.fileno(), 3)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        os.closerange(4, MOST_DESCRIPTORS)
        try:
            _carry(socket.socket(fileno=kept), path)
        finally:
            # It is not to become the program as well.
            os._exit(1)


def _listening() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, PORT))
    listener.listen(BACKLOG)
    return listener


def _carry(listener: socket.socket, path: str) -> None:
    # Here, so that the kernel's program does not wait for it.
    import asyncio

    # An interrupt is for the kernel's program.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_serve(listener, path))


async def _serve(listener: socket.socket, path: str) -> None:
    import asyncio

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


async def _copied(reader: "asyncio.StreamReader", writer: "asyncio.StreamWriter") -> None:
    try:
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


def main() -> None:
    path, *program = sys.argv[1:]
    leave(path)
    # Python ignores these, and what it becomes would go on doing so.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(program[0], program)  # noqa: S606 - what it is for


if __name__ == "__main__":
    main()
