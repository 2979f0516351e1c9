"""The proxy of one kernel, by its socket: what it refuses, and that it holds back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from spin_cells.outbound import AddressRefused
from spin_runtime.egress import proxy as proxies
from spin_runtime.egress.proxy import Proxy, resolve
from spinapis.envelope.v1.attach_pb2 import EGRESS_MODE_ALLOW_LIST, EgressPolicy

POLICY = EgressPolicy(mode=EGRESS_MODE_ALLOW_LIST, hosts=["*.example.org:80", "*.example.org:443"])
Ask = Callable[[bytes], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def elsewhere(host: str, port: int) -> str:
    """Names lead to an address that the real resolver answers for."""
    addresses = {"metadata.example.org": "169.254.169.254", "own.example.org": "127.0.0.1", "mapped.example.org": "::ffff:169.254.169.254"}
    return await resolve(addresses[host], port)


@pytest.fixture
async def denied() -> list[str]:
    return []


@pytest.fixture
async def ask(tmp_path: Path, denied: list[str]) -> AsyncIterator[Ask]:
    path = str(tmp_path / "s")
    server = await asyncio.start_unix_server(Proxy(POLICY, denied.append, elsewhere).serve, path)
    writers: list[asyncio.StreamWriter] = []

    async def asked(data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(path)
        writers.append(writer)
        writer.write(data)
        return reader, writer

    yield asked
    for writer in writers:
        writer.close()
    server.close()


@pytest.mark.parametrize("name", ["metadata", "own", "mapped"])
async def test_a_name_of_the_list_that_leads_where_nobody_may_go(ask: Ask, denied: list[str], name: str) -> None:
    reader, _ = await ask(f"CONNECT {name}.example.org:80 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    said = (await reader.read()).decode()
    assert said.startswith("HTTP/1.1 403 ") and f"{name}.example.org:80 is never reached from kernels" in said
    assert denied == [f"{name}.example.org:80"]


async def test_loopback_is_never_resolved_to() -> None:
    for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "2130706433"):
        with pytest.raises(AddressRefused):
            await resolve(host, 80)


async def test_what_is_no_request_gets_an_answer(ask: Ask) -> None:
    reader, _ = await ask(b"hello\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_connections_are_bounded(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "CONNECTIONS", 2)
    waiting = [await ask(b"CONNECT ") for _ in range(2)]
    reader, _ = await ask(b"CONNECT b.example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
    waiting[0][1].close()
    reader, _ = await ask(b"CONNECT evil.net:443 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.read()).startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 503 "))


async def test_a_request_that_never_comes_ends(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "HEAD_S", 0.05)
    reader, _ = await ask(b"CONNECT ")
    try:
        assert await reader.read() == b""
    except ConnectionResetError:
        pass
