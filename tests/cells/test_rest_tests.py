"""What a test of a REST connection asks for and tells."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from spin_cells.api import Credential, OperationFailed
from spin_cells.rest.process import PROCESSOR

TOKEN = "find-me-as-token"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        return web.Response(status={"/down": 503, "/none": 404}.get(request.path, 200), text=TOKEN)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    made = TestServer(app)
    await made.start_server()
    yield made
    await made.close()


async def tried(config: dict[str, Any], token: str = TOKEN) -> dict[str, Any]:
    credential = Credential(b"c" * 16, "tickets", "rest", {"auth": "bearer", **config}, {"token": token})
    (item,) = [item async for item in PROCESSOR.run("rest.test", {"url": "http://evil.example/"}, credential)]
    return dict(item.value)


async def test_it_tells_what_was_reached_and_nothing_of_the_content(server: TestServer) -> None:
    base, host = f"http://127.0.0.1:{server.port}", f"127.0.0.1:{server.port}"
    for config, answered in (({}, "200 OK"), ({"test_path": "/none"}, "404 Not Found")):
        told = await tried({"base_url": base, **config})
        assert (set(told), told["reached"]) == ({"reached", "took_ms"}, f"{host} answered {answered}")


@pytest.mark.parametrize(("path", "token", "told"), [("/", "wrong", "401 .*credential is refused"), ("/down", TOKEN, "503")])
async def test_an_answer_with_which_no_cell_could_work_is_a_failure(server: TestServer, path: str, token: str, told: str) -> None:
    with pytest.raises(OperationFailed, match=told) as failed:
        await tried({"base_url": f"http://127.0.0.1:{server.port}", "test_path": path}, token)
    assert token not in str(failed.value)


async def test_a_connection_without_an_address_says_so() -> None:
    with pytest.raises(OperationFailed, match="no base_url"):
        await tried({})
