"""A REST connection through the broker, with the real process half against real servers: where a credential may travel."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from spin_envelope.digests import canonical_json
from spin_runtime.broker.refusals import reason_name
from spinapis.envelope.v1 import run_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import broker_pb2
from tests.fakes.control_plane import ControlPlane, use

CONNECTION = b"r" * 16
TOKEN = "the-bearer-token"


class Site:
    """A server that remembers what it was asked."""

    def __init__(self) -> None:
        self.authorizations: list[str | None] = []
        self.redirect_to = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers.get("authorization"))
        if request.path == "/away":
            raise web.HTTPFound(self.redirect_to)
        return web.json_response({"path": request.path})


async def started(site: Site) -> tuple[web.AppRunner, str]:
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", site.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def own() -> AsyncIterator[tuple[Site, str]]:
    site = Site()
    runner, host = await started(site)
    yield site, host
    await runner.cleanup()


@pytest.fixture
async def foreign() -> AsyncIterator[tuple[Site, str]]:
    site = Site()
    runner, host = await started(site)
    yield site, host
    await runner.cleanup()


@pytest.fixture
async def seat(plane: ControlPlane, runtime, take_seat, own: tuple[Site, str]):
    made = await take_seat(runtime)
    entry = run_pb2.CredentialEntry(
        connection_id=CONNECTION,
        name="the api",
        kind="rest",
        config_json=canonical_json({"base_url": f"http://{own[1]}", "auth": "bearer"}),
        secret_json=canonical_json({"token": TOKEN}),
        allowed_hosts=[own[1]],
        allowed_operations=["rest.request"],
    )
    await made.give_bundle(1, entry)
    return made


async def asked(seat, params: dict[str, Any]) -> broker_pb2.UseReply:
    run = await seat.run(use(CONNECTION, "rest.request", params=params))
    reader, writer = await asyncio.open_unix_connection(run.socket_path)
    request = broker_pb2.UseRequest(ticket=run.ticket, connection_id=CONNECTION, operation="rest.request", params_json=canonical_json(params))
    data = request.SerializeToString()
    writer.write(len(data).to_bytes(4) + data)
    reply = broker_pb2.UseReply.FromString(await reader.readexactly(int.from_bytes(await reader.readexactly(4))))
    writer.close()
    return reply


async def test_the_credential_goes_to_the_connections_host(seat, own: tuple[Site, str]) -> None:
    reply = await asked(seat, {"method": "GET", "url": "/items"})
    assert b'"/items' in reply.end.result_json
    assert own[0].authorizations == [f"Bearer {TOKEN}"]


async def test_a_redirect_on_the_same_host(seat, own: tuple[Site, str]) -> None:
    own[0].redirect_to = "/items"
    assert b'"/items' in (await asked(seat, {"method": "GET", "url": "/away"})).end.result_json


async def test_a_cross_host_redirect(seat, own: tuple[Site, str], foreign: tuple[Site, str]) -> None:
    own[0].redirect_to = f"http://{foreign[1]}/steal"
    reply = await asked(seat, {"method": "GET", "url": "/away"})
    assert reason_name(reply.failure.reason) == "ERROR_REASON_OPERATION_FAILED"
    assert TOKEN not in reply.failure.message
    assert foreign[0].authorizations == []


async def test_another_host_in_the_parameters(seat, foreign: tuple[Site, str]) -> None:
    reply = await asked(seat, {"method": "GET", "url": f"http://{foreign[1]}/steal"})
    assert reply.failure.reason == reasons_pb2.ERROR_REASON_OPERATION_DENIED
    assert foreign[0].authorizations == []
