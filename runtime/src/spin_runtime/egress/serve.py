"""The process of the proxies: it has no secrets, and nothing of the server's but the sockets in kernels' boxes that it is handed.

| the server says | descriptors | |
| --- | --- | --- |
| `open`: kernel, policy | a listening Unix socket | serves it by the policy |
| `change`: kernel, policy | | from the next connection on |
| `close`: kernel | | no new connections; those that are left end with the kernel |

It says `denied`: kernel, host, once for each host of a kernel. It ends with the server.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from spin_runtime.egress.packets import CHANGE, CLOSE, OPEN, Request, request_of
from spin_runtime.egress.proxy import Proxy
from spin_runtime.launcher import wire
from spinapis.envelope.v1.attach_pb2 import EgressPolicy

# Of each kernel, for the log.
HOSTS_TOLD = 100


@dataclass(frozen=True)
class _Served:
    proxy: Proxy
    server: asyncio.Server


class Proxies:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._served: dict[str, _Served] = {}

    async def do(self, request: Request, descriptors: Sequence[int]) -> None:
        if request.do == OPEN and descriptors:
            await self._open(request.kernel, request.policy, socket.socket(fileno=descriptors[0]))
        elif request.do == CHANGE and request.kernel in self._served:
            self._served[request.kernel].proxy.policy = request.policy
        elif request.do == CLOSE and (served := self._served.pop(request.kernel, None)) is not None:
            served.server.close()

    async def _open(self, kernel: str, policy: EgressPolicy, listener: socket.socket) -> None:
        told: set[str] = set()

        def denied(host: str) -> None:
            if host not in told and len(told) < HOSTS_TOLD:
                told.add(host)
                # A server that does not read misses a line of its log, and the proxy goes on.
                with suppress(OSError):
                    wire.send(self._channel, {"id": 0, "denied": [kernel, host]})

        proxy = Proxy(policy, denied)
        self._served[kernel] = _Served(proxy, await asyncio.start_unix_server(proxy.serve, sock=listener))


async def serve(channel: socket.socket) -> None:
    """Returns when the server has gone."""
    channel.setblocking(False)
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(channel, readable.set)
    proxies = Proxies(channel)
    while True:
        await readable.wait()
        try:
            packet = wire.receive(channel)
            request = None if packet is None else request_of(packet)
        except BlockingIOError:
            readable.clear()
            continue
        except OSError:
            return
        if packet is None or request is None:
            return
        await proxies.do(request, packet.descriptors)
