"""What the doubles of vendors' HTTP APIs share: a server on a free port that can be stopped and told to refuse."""

import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.Response]]


class WebDouble:
    """`denied` makes every call refuse as the vendor does when the caller lacks the permission."""

    def __init__(self) -> None:
        self.denied = False
        self.disabled = False
        self.calls: list[str] = []
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        async def noted(request: web.Request) -> web.Response:
            self.calls.append(f"{request.method} {request.path}")
            return await handler(request)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", noted)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
