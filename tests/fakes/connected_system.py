"""The system behind a connection: it notes what arrives, and lets whoever asks for /go wait."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from tests.fakes.web_double import WebDouble

Says = Callable[[web.Request], web.Response]


class ConnectedSystem(WebDouble):
    def __init__(self, says: Says = lambda _: web.json_response({})) -> None:
        super().__init__()
        self._says = says
        self.waiting, self.go = asyncio.Event(), asyncio.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def hits(self) -> list[str]:
        """Method and path of each call but those that wait."""
        return [call for call in self.calls if not call.endswith(" /go")]

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/go":
            self.waiting.set()
            await self.go.wait()
        return self._says(request)

    async def stop(self) -> None:
        self.go.set()
        await super().stop()
