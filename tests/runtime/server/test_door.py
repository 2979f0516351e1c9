"""What a stranger can do at the socket: nothing, and cheaply."""

import asyncio
import struct
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from spin_runtime.server import endpoint
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.control_plane import ORIGIN, Client, ControlPlane
from tests.fakes.runtime_rig import Rig, Seat, running, wall_clock_ms


async def refusal(rig: Rig, *sent: bytes, **options: Any) -> f.Error:
    async with rig.socket(**options) as socket:
        for data in sent:
            await socket.send_bytes(data)
        error = f.RuntimeFrame.FromString(await socket.receive_bytes(timeout=10)).error
        assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        return error


@pytest.mark.parametrize(
    "origin",
    [f"{ORIGIN}.evil.com", "null", "http://spin.example.org", f"{ORIGIN}:443", f"{ORIGIN}/", ORIGIN.upper(), ""],
    ids=["suffix", "null", "scheme", "port", "slash", "case", "empty"],
)
async def test_origin_must_be_the_enrolled_one_to_the_letter(rig: Rig, origin: str) -> None:
    error = await refusal(rig, headers={"Origin": origin})
    assert (error.reason, error.fatal) == (reasons_pb2.ERROR_REASON_ORIGIN_REFUSED, True)


async def test_two_origins_are_refused(rig: Rig) -> None:
    reader, writer = await _upgraded(rig, f"Origin: {ORIGIN}\r\nOrigin: https://evil.example\r\n")
    assert b"must have one Host" in await reader.read(4096)
    writer.close()


@pytest.mark.parametrize("host", ["evil.example:8888", "localhost:8888", "127.0.0.1"])
async def test_a_rebound_host_is_refused(rig: Rig, host: str) -> None:
    error = await refusal(rig, headers={"Host": host})
    assert error.reason == reasons_pb2.ERROR_REASON_ORIGIN_REFUSED
    assert "settings" in error.message


async def test_a_missing_origin_is_let_in_from_loopback(rig: Rig) -> None:
    async with rig.socket(headers={"Origin": None}) as socket:
        await socket.send_bytes(f.ClientFrame(resume=f.Resume()).SerializeToString())
        error = f.RuntimeFrame.FromString(await socket.receive_bytes()).error
        assert error.reason == reasons_pb2.ERROR_REASON_PROTOCOL_VIOLATION


async def test_another_subprotocol_is_refused_before_the_upgrade(rig: Rig) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"ws://{rig.host}/spin/v1/ws", protocols=("spin.v2",))
    assert refused.value.status == 400


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"", f.ClientFrame(interrupt=f.Interrupt()).SerializeToString()], ids=["noise", "empty", "early"])
async def test_what_is_no_hello_ends_the_connection(rig: Rig, data: bytes) -> None:
    error = await refusal(rig, data)
    assert (error.reason, error.fatal) == (reasons_pb2.ERROR_REASON_PROTOCOL_VIOLATION, True)


async def test_text_is_refused(rig: Rig) -> None:
    async with rig.socket() as socket:
        await socket.send_str("{}")
        assert f.RuntimeFrame.FromString(await socket.receive_bytes()).error.reason == reasons_pb2.ERROR_REASON_PROTOCOL_VIOLATION


async def test_a_forged_capability_is_refused(rig: Rig) -> None:
    stranger = ControlPlane(clock=wall_clock_ms, workspace_id=rig.plane.workspace_id, runtime_id=rig.plane.runtime_id)  # type: ignore[arg-type]
    async with rig.socket() as socket:
        seat = Seat(stranger, Client(), socket)
        with pytest.raises(AssertionError):
            await asyncio.wait_for(_attach_or_error(seat), 10)


async def _attach_or_error(seat: Any) -> None:
    person, plane = seat.person, seat.plane
    hello = f.ClientHello(capability=plane.capability(person), challenge=plane.challenge(person), nonce_b=person.nonce, session_key=person.key.public)
    await seat.send(client_hello=hello)
    frame = await seat.next()
    assert frame.WhichOneof("body") == "hello", frame.error.message


async def test_silence_is_ended_by_the_deadline(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "STRANGER_S", 0.3)
    error = await refusal(rig)
    assert (error.reason, error.fatal) == (reasons_pb2.ERROR_REASON_PROTOCOL_VIOLATION, True)


async def test_a_stranger_is_cut_off_beyond_64_kib(rig: Rig) -> None:
    async with rig.socket() as socket:
        with pytest.raises((ConnectionError, aiohttp.ClientError, TypeError)):
            await socket.send_bytes(f.ClientFrame(receipt_ack=bytes(200_000)).SerializeToString())
            await socket.receive_bytes(timeout=5)


async def test_a_frame_that_declares_1_gib_is_refused_at_its_header(rig: Rig) -> None:
    reader, writer = await _upgraded(rig, f"Origin: {ORIGIN}\r\n")
    writer.write(bytes([0x82, 0x80 | 127]) + struct.pack(">Q", 1 << 30) + bytes(4))
    answer = await asyncio.wait_for(reader.read(4096), 5)
    assert struct.pack(">H", 1009) in answer
    writer.close()


async def test_a_known_client_is_held_to_4_mib(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.send(receipt_ack=bytes(4 << 20))
        assert (await seat.body("error")).reason == reasons_pb2.ERROR_REASON_OPEN_FAILED
        # Refused at its header, so that sending the rest may fail.
        with pytest.raises((ConnectionError, TypeError)):
            await seat.send(receipt_ack=bytes(5 << 20))
            while True:
                await seat.next()


async def test_an_unpaired_runtime_pairs_and_does_nothing_else(tmp_path: Path) -> None:
    async with running(tmp_path, paired=False) as rig:
        error = await refusal(rig, f.ClientFrame(client_hello=f.ClientHello()).SerializeToString())
        assert (error.reason, error.fatal) == (reasons_pb2.ERROR_REASON_NOT_PAIRED, True)
        await rig.pair()
        error = await refusal(rig, f.ClientFrame(pairing_start=f.PairingStart()).SerializeToString())
        assert error.reason == reasons_pb2.ERROR_REASON_ALREADY_EXISTS


async def test_plain_http_says_little_and_allows_no_other_page(rig: Rig) -> None:
    async with aiohttp.ClientSession() as http:
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 404), ("/", 404), ("/spin/v1/ws", 400)):
            async with http.get(f"http://{rig.host}{path}", headers={"Origin": "https://evil.example"}) as response:
                assert response.status == status
                assert "Access-Control-Allow-Origin" not in response.headers
                assert "Set-Cookie" not in response.headers
        async with http.post(f"http://{rig.host}/healthz") as response:
            assert response.status == 405


async def test_compression_is_never_agreed_to(rig: Rig) -> None:
    reader, writer = await _connected(rig, f"Origin: {ORIGIN}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"101" in head.split(b"\r\n")[0]
    assert b"permessage-deflate" not in head
    writer.close()


async def _connected(rig: Rig, headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    request = (
        f"GET /spin/v1/ws HTTP/1.1\r\nHost: {rig.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: spin.v1\r\n{headers}\r\n"
    )
    writer.write(request.encode())
    return reader, writer


async def _upgraded(rig: Rig, headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await _connected(rig, headers)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer
