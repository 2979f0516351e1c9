"""The HTTP side: three addresses that have no effects, and the socket. Nothing here sets a cookie or a CORS header."""

import asyncio
import socket
import ssl

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from spin_runtime.server.endpoint import Endpoint
from spin_runtime.session.sessions import Sessions

SOCKET_PATH = "/spin/v1/ws"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class CannotListen(Exception):
    """An address cannot be had; the text is for whoever operates the runtime."""


class HttpServer:
    """Listens, and stops in order."""

    def __init__(self, app: web.Application, host: str, port: int, chosen_by: str, tls: ssl.SSLContext | None = None) -> None:
        """`chosen_by` are the settings that host and port came from."""
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=30, shutdown_timeout=1.0)
        self._host, self._port, self._chosen_by, self._tls = host, port, chosen_by, tls

    async def start(self) -> int:
        """Returns the port, which the system chose when 0 was asked for. Raises CannotListen."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls, reuse_address=True, backlog=256)
        try:
            await site.start()
        except OSError as error:
            text = f"cannot listen on {self._host}:{self._port}: {error.strerror or error}. Choose another {self._chosen_by}."
            raise CannotListen(text) from error
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        await self._runner.cleanup()


def public_app(endpoint: Endpoint, sessions: Sessions) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers=HEADERS)

    async def readyz(_: web.Request) -> web.Response:
        if sessions.draining:
            return web.Response(text="draining\n", status=503, headers=HEADERS)
        return web.Response(text="ready\n", headers=HEADERS)

    async def socket_handler(request: web.Request) -> web.StreamResponse:
        _no_delay(request.transport)
        return await endpoint.handle(request)

    app = web.Application(client_max_size=1024)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get(SOCKET_PATH, socket_handler, allow_head=False)
    app.on_response_prepare.append(_nameless)
    return app


def metrics_app(registry: CollectorRegistry) -> web.Application:
    """For a port of its own, on loopback."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application(client_max_size=1024)
    app.router.add_get("/metrics", metrics)
    return app


async def _nameless(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "spin-runtime"


def _no_delay(transport: asyncio.Transport | None) -> None:
    """Nagle's wait for an acknowledgement costs 40 ms in cells that follow each other."""
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
