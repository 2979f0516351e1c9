"""The broker's half of REST, against a real HTTP server: credentials, hosts, redirects, sizes."""

import asyncio
import base64
import gzip
import json
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from typing import Any

import certifi
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from spin_cells import outbound
from spin_cells.api import Credential, OperationFailed, Result
from spin_cells.rest import process
from spin_cells.rest.process import PROCESSOR

SECRET = "correct-horse-battery"
# What hosts say although nothing is packed.
PACKS_NOTHING = ("utf-8", "none", "aws-chunked", "identity", "UTF-8, ")


def packed(how: str) -> web.Response:
    """256 MiB of zeros in some kilobytes; `how` is the Content-Encoding, and `small` a little text."""
    if how == "small":
        return web.Response(body=gzip.compress(b"unpacked"), headers={"Content-Encoding": "gzip"})
    if how in PACKS_NOTHING:
        return web.Response(body=b"as it is", headers={"Content-Encoding": how})
    pack = zlib.compressobj(9, wbits=31)
    body = b"".join(pack.compress(bytes(1 << 20)) for _ in range(256)) + pack.flush()
    return web.Response(body=gzip.compress(body) if "," in how else body, headers={"Content-Encoding": how})


class Api:
    """A server that says what it was asked, and misbehaves on demand."""

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.bodies: list[str] = []
        self.circle = False
        app = web.Application()
        app.router.add_route("*", "/redirect", self.redirect)
        app.router.add_route("*", "/{tail:.*}", self.answer)
        self.server = TestServer(app)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.text())
        if request.path == "/slow":
            await asyncio.sleep(5)
        if request.path == "/large":
            return web.Response(body=b"x" * (process.MAX_RESPONSE + 1))
        if "packed" in request.query:
            return packed(request.query["packed"])
        if request.path == "/binary":
            return web.Response(body=b"\xff\xfe\x00", content_type="application/octet-stream")
        if request.path == "/fail":
            return web.Response(status=500, text=f"no: {request.headers.get('Authorization')}")
        return web.json_response({"path": request.path_qs, "headers": dict(request.headers)})

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.text())
        raise web.HTTPFound("/redirect" if self.circle else request.query["to"])


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    await made.server.start_server()
    yield made
    await made.server.close()


def credential(api: Api, auth: str = "bearer", secret: dict[str, Any] | None = None, **changes: Any) -> Credential:
    config = {"base_url": f"http://{api.host}/v1", "auth": auth, **changes.pop("config", {})}
    given = {"token": SECRET} if secret is None else secret
    return Credential(**{"connection_id": b"1" * 16, "name": "tickets", "kind": "rest", "config": config, "secret": given, **changes})


async def ask(held: Credential, **params: Any) -> dict[str, Any]:
    (result,) = [item async for item in PROCESSOR.run("rest.request", {"method": "GET", "url": "/x", **params}, held)]
    assert isinstance(result, Result)
    return dict(result.value)


async def refusal(held: Credential, **params: Any) -> str:
    with pytest.raises(OperationFailed) as caught:
        await ask(held, **params)
    text = str(caught.value)
    assert held.name in text
    assert SECRET not in text
    return text


async def test_the_credential_goes_along(api: Api) -> None:
    answer = await ask(credential(api), query={"q": ["a&b", 1], "r": True})
    assert api.seen[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert api.seen[0].headers["Host"] == api.host
    assert answer["json"]["path"] == "/v1/x?q=a%26b&q=1&r=true"
    assert answer["status"] == 200
    assert SECRET not in repr(credential(api))


async def test_an_error_status_is_an_answer(api: Api) -> None:
    answer = await ask(credential(api), url=f"http://{api.host}/fail")
    assert (answer["status"], answer["text"]) == (500, f"no: Bearer {SECRET}")


@pytest.mark.parametrize(
    ("auth", "secret", "config", "header", "value"),
    [
        ("basic", {"username": "ann", "password": SECRET}, {}, "Authorization", "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()),
        ("basic", {"password": SECRET}, {"username": "bob"}, "Authorization", "Basic " + base64.b64encode(f"bob:{SECRET}".encode()).decode()),
        ("header", {"value": SECRET}, {"header_name": "X-Api-Key"}, "X-Api-Key", SECRET),
        ("none", {}, {}, "Authorization", None),
    ],
)
async def test_other_ways_to_authenticate(api: Api, auth: str, secret: dict, config: dict, header: str, value: str | None) -> None:
    await ask(credential(api, auth, secret, config=config))
    assert api.seen[0].headers.get(header) == value


async def test_bodies_are_sent_as_json_or_text(api: Api) -> None:
    await ask(credential(api), method="POST", json={"a": [1, "é"]})
    await ask(credential(api), method="PUT", body="plain é", headers={"Content-Type": "text/csv"})
    assert [json.loads(api.bodies[0]), api.bodies[1]] == [{"a": [1, "é"]}, "plain é"]
    assert [request.headers["Content-Type"] for request in api.seen] == ["application/json", "text/csv"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x",
        "http://localhost.evil.example.com/",
        "http://{host}@evil.example.com/",
        "http://evil.example.com\\@{host}/",
        "//evil.example.com/x",
        "file:///etc/passwd",
        "http://{host}.evil.example.com/",
        "http:///x",
        "http://[::1",
    ],
)
async def test_only_the_connections_own_hosts_are_called(api: Api, url: str) -> None:
    await refusal(credential(api), url=url.format(host=api.host))
    assert not api.seen


async def test_allowed_hosts_replace_the_base_urls(api: Api) -> None:
    await refusal(credential(api, allowed_hosts=("api.example.com",)))
    answer = await ask(credential(api, allowed_hosts=(f"http://{api.host}",), config={"base_url": ""}), url=f"http://{api.host}/y")
    assert answer["json"]["path"] == "/y"


@pytest.mark.parametrize("config", [{"base_url": "https://{host}/v1"}, {"base_url": ""}])
async def test_a_credential_for_https_does_not_travel_by_http(api: Api, config: dict[str, str]) -> None:
    held = credential(api, allowed_hosts=(api.host,), config={"base_url": config["base_url"].format(host=api.host)})
    assert f"Connection tickets: http://{api.host} is not one of its hosts: ask https://{api.host}" in await refusal(held, url=f"http://{api.host}/x")
    assert not api.seen


async def test_a_redirect_stays_on_its_host_and_keeps_what_it_may(api: Api) -> None:
    held = credential(api, config={"base_url": f"http://{api.host}"})
    answer = await ask(held, method="POST", url="/redirect", query={"to": "/landed"}, json={"a": 1})
    assert answer["json"]["path"] == "/landed"
    assert [request.method for request in api.seen] == ["POST", "GET"]
    assert api.bodies[1] == ""


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data/", "https://{host}/", "//evil.example.com/", "file:///etc/passwd"]
)
async def test_a_redirect_to_another_host_is_refused(api: Api, target: str) -> None:
    held = credential(api, config={"base_url": f"http://{api.host}"}, allowed_hosts=(api.host, "127.0.0.1:1", "169.254.169.254"))
    await refusal(held, url="/redirect", query={"to": target.format(host=api.host)})
    assert len(api.seen) == 1


async def test_redirects_in_a_circle_end(api: Api) -> None:
    held = credential(api, config={"base_url": f"http://{api.host}"})
    api.circle = True
    assert "more than 5 redirects" in await refusal(held, url="/redirect")
    assert len(api.seen) == 6


async def test_a_metadata_address_is_refused_even_when_it_is_allowed(api: Api) -> None:
    held = credential(api, config={"base_url": "http://169.254.169.254"}, allowed_hosts=("169.254.169.254",))
    assert "metadata" in await refusal(held)


NAME = "metadata.google.internal"


def resolving(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """On this network the name is the metadata service's, beside a harmless address. Returns what is asked for."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()
    truly = loop.getaddrinfo

    async def getaddrinfo(host: str, port: int, **options: Any) -> Any:
        asked.append(host)
        if host != NAME:
            return await truly(host, port, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.1", "169.254.169.254")]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    return asked


async def test_a_name_of_the_metadata_service(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch)
    held = credential(api, config={"base_url": f"http://{NAME}"}, allowed_hosts=(NAME,))
    assert "metadata" in await refusal(held, url="/computeMetadata/v1/")
    assert asked == [NAME]


async def test_a_redirect_to_a_name_of_the_metadata_service(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch)
    held = credential(api, config={"base_url": f"http://{api.host}"}, allowed_hosts=(api.host, NAME))
    await refusal(held, url="/redirect", query={"to": f"http://{NAME}/computeMetadata/v1/"})
    assert len(api.seen) == 1
    assert NAME not in asked


@pytest.mark.parametrize(
    "params",
    [
        {"headers": {"Authorization": "Bearer mine"}},
        {"headers": {"host": "evil.example.com"}},
        {"headers": {"X-A": "b\r\nX-C: d"}},
        {"headers": {"X A": "b"}},
        {"headers": ["X-A"]},
        {"method": "CONNECT"},
        {"method": "GET\r\nX: y"},
        {"url": 5},
        {"url": "/a b"},
        {"url": "/a\r\nX: y"},
        {"json": 1, "body": "x"},
        {"body": 5},
        {"query": "a=b"},
        {"timeout_s": 0},
        {"timeout_s": True},
        {"verify": False},
    ],
)
async def test_parameters_of_code_are_not_trusted(api: Api, params: dict[str, Any]) -> None:
    await refusal(credential(api), **params)
    assert not api.seen


async def test_a_connections_own_header_cannot_be_replaced(api: Api) -> None:
    held = credential(api, "header", {"value": SECRET}, config={"header_name": "X-Api-Key"})
    await refusal(held, headers={"x-api-key": "mine"})


@pytest.mark.parametrize(
    ("auth", "secret"),
    [
        ("bearer", {}),
        ("bearer", {"token": "a\r\nb"}),
        ("bearer", {"token": 5}),
        ("basic", {"username": "a"}),
        ("digest", {}),
        ("header", {"value": "x"}),
    ],
)
async def test_a_credential_that_cannot_be_used_says_so(api: Api, auth: str, secret: dict[str, Any]) -> None:
    await refusal(credential(api, auth, secret))
    assert not api.seen


@pytest.mark.parametrize("how", ["gzip", "gzip, gzip", "br"])
async def test_a_packed_answer_is_not_unpacked_beyond_the_limit(api: Api, how: str) -> None:
    """It would take the broker's memory, and with that every run of the runtime."""
    held = credential(api, config={"base_url": f"http://{api.host}"})
    tracemalloc.start()
    try:
        text = await refusal(held, query={"packed": how})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ("16 MiB" if how == "gzip" else "Content-Encoding") in text
    assert peak < 4 * process.MAX_RESPONSE


async def test_a_packed_answer_is_unpacked(api: Api) -> None:
    assert (await ask(credential(api), query={"packed": "small"}))["text"] == "unpacked"


@pytest.mark.parametrize("said", PACKS_NOTHING)
async def test_an_encoding_that_packs_nothing_is_passed_over(api: Api, said: str) -> None:
    assert (await ask(credential(api), query={"packed": said}))["text"] == "as it is"


async def test_an_encoding_that_is_not_read_is_named_with_what_to_do(api: Api) -> None:
    text = await refusal(credential(api), query={"packed": "br"})
    assert "'br'" in text
    assert "identity" in text


@pytest.mark.parametrize(("headers", "sent"), [({}, "gzip"), ({"Accept-Encoding": "identity"}, "identity"), ({"accept-encoding": "GZIP"}, "GZIP")])
async def test_the_encoding_that_a_cell_accepts_is_asked_for(api: Api, headers: dict[str, str], sent: str) -> None:
    await ask(credential(api), headers=headers)
    assert api.seen[0].headers.getall("Accept-Encoding") == [sent]


@pytest.mark.parametrize("value", ["br", "gzip, br", "*", "identity;q=0"])
async def test_an_encoding_that_is_not_read_is_not_asked_for(api: Api, value: str) -> None:
    assert "accept-encoding is set by the connection itself" in await refusal(credential(api), headers={"Accept-Encoding": value})
    assert not api.seen


async def test_slow_and_large_and_dead_hosts(api: Api) -> None:
    held = credential(api, config={"base_url": f"http://{api.host}"})
    assert "0.2 s" in await refusal(held, url="/slow", timeout_s=0.2)
    assert "16 MiB" in await refusal(held, url="/large")
    assert "reached" in await refusal(credential(api, config={"base_url": "http://127.0.0.1:1"}))
    assert base64.b64decode((await ask(held, url="/binary"))["base64"]) == b"\xff\xfe\x00"


async def test_other_operations_are_refused(api: Api) -> None:
    with pytest.raises(OperationFailed):
        async for _ in PROCESSOR.run("rest.delete_everything", {"url": "/x"}, credential(api)):
            pass


def test_tls_is_verified_where_a_bundle_is_set(tmp_path) -> None:
    assert outbound.tls_context({}).verify_mode == ssl.CERT_NONE
    for bundle in (certifi.where(), str(tmp_path)):
        context = outbound.tls_context({"REQUESTS_CA_BUNDLE": bundle})
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
