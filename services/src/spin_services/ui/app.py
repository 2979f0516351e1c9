"""Serves the built web client.

Files under /assets carry a hash of their content in their names and never change; the page itself is always asked for again. Every other address is
a page of the one-page application. Headers that are the same for all replies are the gateway's business.
"""

import asyncio
from pathlib import Path

from aiohttp import web

FOREVER = "public, max-age=31536000, immutable"
AN_HOUR = "public, max-age=3600"
ALWAYS_ASK = "no-cache"


def build(folder: Path) -> web.Application:
    """The application for the folder that `npm run build` made; raises FileNotFoundError when it holds no page."""
    page = folder / "index.html"
    if not page.is_file():
        raise FileNotFoundError(f"{folder} holds no index.html: build the web client with 'make web'")

    async def serve_page(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(page, headers={"cache-control": ALWAYS_ASK})

    async def serve_file(request: web.Request) -> web.StreamResponse:
        file = _inside(folder, request.path)
        if file is None:
            # A name with a dot is a file that is missing; anything else is a page of the application.
            if request.path.startswith("/assets/") or "." in request.path.rpartition("/")[2]:
                raise web.HTTPNotFound(text="no such file")
            return await serve_page(request)
        lasting = FOREVER if request.path.startswith("/assets/") else AN_HOUR
        return web.FileResponse(file, headers={"cache-control": lasting})

    app = web.Application()
    app.router.add_get("/", serve_page)
    app.router.add_get("/index.html", serve_page)
    app.router.add_get("/{path:.+}", serve_file)
    return app


def _inside(folder: Path, path: str) -> Path | None:
    """The file that a request path names, or None when there is none below the folder."""
    root = folder.resolve()
    file = (root / path.lstrip("/")).resolve()
    return file if file.is_relative_to(root) and file.is_file() else None


async def serve_forever(folder: Path, address: str) -> None:
    """Until the task is cancelled."""
    runner = await serve(folder, address)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def serve(folder: Path, address: str) -> web.AppRunner:
    """Listens on "host:port" until the returned runner is cleaned up."""
    runner = web.AppRunner(build(folder), access_log=None)
    await runner.setup()
    host, _, port = address.rpartition(":")
    await web.TCPSite(runner, host, int(port)).start()
    return runner
