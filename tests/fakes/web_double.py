"""What the doubles of vendors' HTTP APIs share: a server on a free port that can be stopped and told to refuse."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]


class WebDouble:
    """`denied` makes every call refuse as the vendor does when the caller lacks the permission.

    `trouble` is for calls that are no sign-in: "slow" answers when the double ends, "large" is an answer of 4 MiB whose length is not announced.
    """

    def __init__(self) -> None:
        self.denied = False
        self.disabled = False
        self.trouble = ""
        self._over = asyncio.Event()
        self.calls: list[str] = []
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start(self.answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def answer(self, request: web.Request) -> web.Response:
        """The vendor's API; without one there is trouble alone."""
        raise web.HTTPNotFound

    async def start(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        async def noted(request: web.Request) -> web.StreamResponse:
            self.calls.append(f"{request.method} {request.path}")
            if self.trouble and not any(part in request.path for part in ("login", "token", "openid")):
                return await self._troubled(request)
            return await handler(request)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", noted)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _troubled(self, request: web.Request) -> web.StreamResponse:
        if self.trouble == "slow":
            await self._over.wait()
            return web.Response(status=503)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        try:
            for _ in range(64):
                await response.write(b" " * 65536)
        except ConnectionError:
            pass  # the client has had enough, as it should
        return response

    async def stop(self) -> None:
        self._over.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
