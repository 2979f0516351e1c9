"""The socket between server and broker, when one of the two is in an attacker's hands, slow or gone."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from spin_runtime.broker import boundary as boundary_module
from spin_runtime.broker.api import BrokerError
from spin_runtime.broker.boundary import Boundary
from spin_runtime.broker.channel import MAX_MESSAGE
from spin_runtime.broker.remote import RemoteBroker
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import boundary_pb2 as b


class Silent:
    """A broker whose calls wait, until they are let go; it remembers which were stopped."""

    def __init__(self) -> None:
        self.go, self.waiting, self.stopped = asyncio.Event(), 0, 0

    async def pairing_start(self) -> bytes:
        self.waiting += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return b"request"

    async def acknowledge(self, receipt_ack: bytes) -> None:
        await self.pairing_start()

    async def status(self) -> Any:
        raise ValueError("the password is 12345")

    async def receipts_after(self, receipt_seq: int, limit: int) -> Any:
        return [(seq, bytes(1 << 20)) for seq in range(1, 9)]


@pytest.fixture
def silent() -> Silent:
    return Silent()


@pytest.fixture
async def ends(silent: Silent) -> AsyncIterator[tuple[Boundary, socket.socket]]:
    brokers, servers = socket.socketpair()
    served = await Boundary.serve(silent, brokers)  # type: ignore[arg-type]
    servers.setblocking(False)
    yield served, servers
    servers.close()
    await asyncio.wait_for(served.ended.wait(), 5)


async def until(true: Any) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0)


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(4) + message


@pytest.mark.parametrize(
    "data",
    [
        (MAX_MESSAGE + 1).to_bytes(4),
        b"\xff\xff\xff\xff",
        framed(b"\xff\xff\xff"),
        framed(b""),
        framed(b.BoundaryRequest(id=7).SerializeToString()),
        framed(b.BoundaryRequest(id=7, pairing_start=b.StartPairing()).SerializeToString()) * 2,
    ],
    ids=["too long by one", "4 GiB", "no message", "empty", "no call", "an id that comes twice"],
)
async def test_what_is_no_call_ends_the_broker(ends: tuple[Boundary, socket.socket], data: bytes) -> None:
    served, servers = ends
    servers.sendall(data)
    await asyncio.wait_for(served.ended.wait(), 5)
    assert await asyncio.get_running_loop().sock_recv(servers, 10) == b""


async def test_a_call_that_waits_before_the_broker_is_there(silent: Silent) -> None:
    brokers, servers = socket.socketpair()
    servers.sendall(framed(b.BoundaryRequest(id=1, pairing_start=b.StartPairing()).SerializeToString()))
    silent.go.set()
    served = await Boundary.serve(silent, brokers)  # type: ignore[arg-type]
    servers.setblocking(False)
    async with asyncio.timeout(5):
        reply = await asyncio.get_running_loop().sock_recv(servers, 1000)
    assert b.BoundaryReply.FromString(reply[4:]).enrol_request == b"request"
    servers.close()
    await served.ended.wait()


async def test_a_server_that_is_gone_stops_its_calls(ends: tuple[Boundary, socket.socket], silent: Silent) -> None:
    served, servers = ends
    remote = await RemoteBroker.connect(servers)
    calls = [asyncio.create_task(remote.pairing_start()) for _ in range(3)]
    await until(lambda: silent.waiting == 3)
    await remote.close()
    await served.ended.wait()
    await until(lambda: silent.stopped == 3)
    for call in calls:
        with pytest.raises(BrokerError):
            await call


async def test_a_call_that_nobody_waits_for_is_stopped(ends: tuple[Boundary, socket.socket], silent: Silent) -> None:
    remote = await RemoteBroker.connect(ends[1])
    call, other = asyncio.create_task(remote.pairing_start()), asyncio.create_task(remote.pairing_start())
    await until(lambda: silent.waiting == 2)
    call.cancel()
    await until(lambda: silent.stopped == 1)
    silent.go.set()
    assert await other == b"request"
    await remote.close()


async def test_a_broker_that_is_gone_is_said_to_everybody(ends: tuple[Boundary, socket.socket], silent: Silent) -> None:
    served, servers = ends
    remote = await RemoteBroker.connect(servers)
    call = asyncio.create_task(remote.pairing_start())
    await until(lambda: silent.waiting)
    assert served._channel is not None
    served._channel.abort()
    with pytest.raises(BrokerError) as caught:
        await call
    assert caught.value.reason == reasons_pb2.ERROR_REASON_UNAVAILABLE
    assert remote.lost.is_set()
    with pytest.raises(BrokerError):
        await remote.status()


async def test_a_fault_inside_says_nothing_of_what_it_saw(ends: tuple[Boundary, socket.socket]) -> None:
    remote = await RemoteBroker.connect(ends[1])
    with pytest.raises(BrokerError) as caught:
        await remote.status()
    assert caught.value.reason == reasons_pb2.ERROR_REASON_INTERNAL
    assert "12345" not in caught.value.text
    await remote.close()


async def test_receipts_that_do_not_fit_into_a_message_come_later(ends: tuple[Boundary, socket.socket]) -> None:
    remote = await RemoteBroker.connect(ends[1])
    assert [seq for seq, _ in await remote.receipts_after(0, 8)] == [1, 2]
    await remote.close()


async def test_a_call_that_is_too_large_is_not_sent(ends: tuple[Boundary, socket.socket]) -> None:
    remote = await RemoteBroker.connect(ends[1])
    with pytest.raises(BrokerError) as caught:
        await remote.acknowledge(bytes(MAX_MESSAGE))
    assert caught.value.reason == reasons_pb2.ERROR_REASON_TOO_LARGE
    assert not remote.lost.is_set()
    await remote.close()


async def test_a_server_that_does_not_read_its_answers_gets_no_more(ends: tuple[Boundary, socket.socket], silent: Silent) -> None:
    """Each answer holds 2 MiB: a thousand of them would be the broker's end."""
    _, servers = ends
    made = 0
    lists = silent.receipts_after

    async def counted(receipt_seq: int, limit: int) -> Any:
        nonlocal made
        made += 1
        return await lists(receipt_seq, limit)

    silent.receipts_after = counted  # type: ignore[method-assign]
    calls = [b.BoundaryRequest(id=number, receipts_after=b.ListReceipts(limit=8)) for number in range(1, 1001)]
    await asyncio.get_running_loop().sock_sendall(servers, b"".join(framed(call.SerializeToString()) for call in calls))
    await until(lambda: made)
    for _ in range(5000):
        await asyncio.sleep(0)
    assert made <= 2
    await asyncio.get_running_loop().run_in_executor(None, _read, servers.dup(), 5 * (2 << 20))
    await until(lambda: made >= 4)


def _read(end: socket.socket, size: int) -> None:
    with end:
        end.setblocking(True)
        while size > 0:
            size -= len(end.recv(min(size, 1 << 20)))


async def test_what_calls_hold_is_bounded(ends: tuple[Boundary, socket.socket], silent: Silent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boundary_module, "HELD_BYTES", 8 << 20)
    remote = await RemoteBroker.connect(ends[1])
    calls = [asyncio.create_task(remote.acknowledge(bytes(4 << 20))) for _ in range(10)]
    await until(lambda: silent.waiting >= 2)
    for _ in range(2000):
        await asyncio.sleep(0)
    assert silent.waiting <= 4
    silent.go.set()
    await asyncio.wait_for(asyncio.gather(*calls), 10)
    await remote.close()
