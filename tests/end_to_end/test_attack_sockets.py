"""Attacks at the runtime's real socket: pages that may not be there, names that point elsewhere, and sizes that are meant to hurt."""

import asyncio
import os
import struct

import aiohttp
import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform
from spin_client.sdk.handshake import ClientKey, open_with
from spin_client.sdk.identifiers import id_bytes
from spinapis.auth.v1 import trust_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import notebooks_pb2
from tests.fakes.extra_runtime import ExtraRuntime, own_addresses
from tests.fakes.hand_client import HandClient

GIGABYTE = 1 << 30
TOLERATED = 64 << 20


async def answer(running: RunningPlatform, *, first: frames_pb2.ClientFrame | None = None, **headers: str) -> frames_pb2.RuntimeFrame:
    """Opens the socket with these headers and gives the first frame that comes back."""
    url = f"ws://127.0.0.1:{running.settings.runtime_port}/spin/v1/ws"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, protocols=("spin.v1",), headers=headers) as socket:
        if first is not None:
            await socket.send_bytes(first.SerializeToString())
        return frames_pb2.RuntimeFrame.FromString(await socket.receive_bytes(timeout=10))


async def opening(owner: Platform, session: notebooks_pb2.Session, origin: str) -> frames_pb2.ClientFrame:
    """A ClientHello that auth has signed for this origin."""
    key = ClientKey()
    request = trust_pb2.IssueCapabilityRequest(
        workspace_id=session.workspace_id,
        session_id=session.id,
        notebook_id=session.notebook_id,
        runtime_id=session.runtime_id,
        cnf=key.cnf,
        origin=origin,
    )
    granted = await owner.grants.IssueCapability(request)
    where = {"workspace_id": session.workspace_id, "runtime_id": session.runtime_id}
    state = (await owner.enrolment.GetTrustState(trust_pb2.GetTrustStateRequest(**where))).trust_state
    return open_with(key, granted, await owner.trust.documents(), state, id_bytes(session.id)).frame


@pytest.mark.parametrize("origin", ["{url}.evil.com", "null", "https://localhost:{port}", "{url}/", "http://evil.example"])
async def test_a_page_of_another_origin(running: RunningPlatform, origin: str) -> None:
    settings = running.settings
    sent = origin.format(url=settings.public_url, port=settings.gateway_port)
    error = (await answer(running, Origin=sent)).error
    assert (error.reason, error.fatal) == (reasons_pb2.ERROR_REASON_ORIGIN_REFUSED, True)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "localhost", "localhost:1"])
async def test_a_rebound_host(running: RunningPlatform, host: str) -> None:
    error = (await answer(running, Host=host.format(port=running.settings.runtime_port))).error
    assert (error.reason, error.fatal) == (reasons_pb2.ERROR_REASON_ORIGIN_REFUSED, True)


async def test_a_rebound_host_from_the_right_page(running: RunningPlatform) -> None:
    """What a rebinding page achieves at most: the platform's own Origin, under the attacker's name."""
    error = (await answer(running, Origin=running.settings.public_url, Host="evil.example:8888")).error
    assert error.reason == reasons_pb2.ERROR_REASON_ORIGIN_REFUSED


async def test_the_enrolled_page_is_let_in(running: RunningPlatform, owner: Platform, session: notebooks_pb2.Session) -> None:
    url = running.settings.public_url
    assert (await answer(running, first=await opening(owner, session, url), Origin=url)).WhichOneof("body") == "hello"


async def test_a_capability_for_the_page_used_without_an_origin(running: RunningPlatform, owner: Platform, session: notebooks_pb2.Session) -> None:
    """A program that stole a page's capability is no page."""
    error = (await answer(running, first=await opening(owner, session, running.settings.public_url))).error
    assert error.reason == reasons_pb2.ERROR_REASON_CAPABILITY_INVALID


async def test_a_capability_for_a_program_used_by_a_page(running: RunningPlatform, owner: Platform, session: notebooks_pb2.Session) -> None:
    error = (await answer(running, first=await opening(owner, session, ""), Origin=running.settings.public_url)).error
    assert error.reason == reasons_pb2.ERROR_REASON_CAPABILITY_INVALID


async def test_no_origin_from_elsewhere_than_loopback(second_runtime: ExtraRuntime) -> None:
    """A runtime that listens on every address takes programs without an Origin from its own machine alone."""
    addresses = own_addresses()
    assert addresses, "this machine has no address but loopback"
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"ws://{addresses[0]}:{second_runtime.port}/spin/v1/ws", protocols=("spin.v1",)) as ws,
    ):
        error = frames_pb2.RuntimeFrame.FromString(await ws.receive_bytes(timeout=10)).error
    assert error.reason == reasons_pb2.ERROR_REASON_ORIGIN_REFUSED
    assert "own machine" in error.message


async def raw_socket(running: RunningPlatform) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket as far as its upgrade; what follows is up to the test."""
    port = running.settings.runtime_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /spin/v1/ws HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: spin.v1\r\n\r\n".encode()
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def head(length: int, *, opcode: int = 0x2, final: bool = True) -> bytes:
    """The head of a masked WebSocket frame of that length."""
    return bytes([(0x80 if final else 0) | opcode, 0x80 | 127]) + struct.pack("!Q", length) + bytes(4)


async def poured(writer: asyncio.StreamWriter, amount: int) -> int:
    """Sends so much, or as much as the other side takes before it hangs up."""
    block, sent = os.urandom(1 << 16), 0
    try:
        while sent < amount:
            writer.write(block)
            await asyncio.wait_for(writer.drain(), 5)
            sent += len(block)
    except (ConnectionError, TimeoutError):
        pass
    return sent


async def test_a_1_gib_frame_of_a_stranger(running: RunningPlatform) -> None:
    runtime = running.child("server")
    before = runtime.memory_info().rss
    _, writer = await raw_socket(running)
    writer.write(head(GIGABYTE))
    assert await poured(writer, GIGABYTE) < TOLERATED
    writer.transport.abort()
    assert runtime.memory_info().rss - before < TOLERATED
    assert (await answer(running, Origin="null")).HasField("error")


async def test_a_1_gib_frame_of_a_member(running: RunningPlatform, client: HandClient) -> None:
    runtime = running.child("server")
    before = runtime.memory_info().rss
    transport = client.wire._ws._writer.transport
    transport.write(head(GIGABYTE))
    for _ in range(256):
        if transport.is_closing():
            break
        transport.write(os.urandom(1 << 18))
        await asyncio.sleep(0.002)
    transport.abort()
    assert runtime.memory_info().rss - before < TOLERATED
    async with await HandClient.attach(client.platform, client.session) as again:
        assert await again.outcome((await again.compile("print('fine')")).sealed) == "OK"


async def test_a_message_in_endless_fragments(running: RunningPlatform) -> None:
    """No frame is large; the message that they make is."""
    runtime = running.child("server")
    before = runtime.memory_info().rss
    _, writer = await raw_socket(running)
    writer.write(head(1 << 16, final=False) + os.urandom(1 << 16))
    for _ in range(512):
        writer.write(head(1 << 16, opcode=0, final=False) + os.urandom(1 << 16))
        try:
            await asyncio.wait_for(writer.drain(), 5)
        except (ConnectionError, TimeoutError):
            break
    else:
        pytest.fail("the runtime took 32 MiB of one message from a stranger")
    writer.transport.abort()
    assert runtime.memory_info().rss - before < TOLERATED


async def test_a_program_of_more_than_4_mib(client: HandClient) -> None:
    await client.send(sealed=bytes((4 << 20) + 1))
    error = (await client.next("error")).error
    assert error.reason == reasons_pb2.ERROR_REASON_OPEN_FAILED
    async with await HandClient.attach(client.platform, client.session) as again:
        assert await again.outcome((await again.compile("print('fine')")).sealed) == "OK"


async def test_a_stranger_that_says_nothing_is_sent_away(running: RunningPlatform) -> None:
    reader, writer = await raw_socket(running)
    assert b"No authentication within 5 s" in await asyncio.wait_for(reader.read(4096), 8)
    writer.transport.abort()


async def test_reading_addresses_have_no_effects_and_no_cors(running: RunningPlatform) -> None:
    base = f"http://127.0.0.1:{running.settings.runtime_port}"
    async with aiohttp.ClientSession(headers={"Origin": "http://evil.example"}) as http:
        for path in ("/healthz", "/readyz", "/", "/spin/v1/ws", "/metrics"):
            for method in ("GET", "OPTIONS", "POST"):
                async with http.request(method, base + path) as reply:
                    assert "Access-Control-Allow-Origin" not in reply.headers
                    assert "Set-Cookie" not in reply.headers
