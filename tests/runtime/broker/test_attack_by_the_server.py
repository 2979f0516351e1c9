"""A server in an attacker's hands, at the real socket between it and the broker: it knows handles, and makes no rights of them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.signing import sign
from spin_runtime.broker import clients
from spin_runtime.broker.api import BrokerError, Rejected, Run
from spin_runtime.broker.boundary import Boundary
from spin_runtime.broker.refusals import reason_name
from spin_runtime.broker.remote import RemoteBroker
from spinapis.envelope.v1 import attach_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import HOUR_MS, MINUTE_MS, ORIGIN, Client, ControlPlane

OVER = reasons_pb2.ERROR_REASON_HELLO_STALE
NOT_ATTACHED = reasons_pb2.ERROR_REASON_CAPABILITY_INVALID


@pytest.fixture
async def server(runtime: Any) -> AsyncIterator[RemoteBroker]:
    local, (brokers, servers) = runtime.broker, socket.socketpair()
    boundary = await Boundary.serve(local, brokers)
    runtime.broker = remote = await RemoteBroker.connect(servers)
    yield remote
    await remote.close()
    await asyncio.wait_for(boundary.ended.wait(), 5)
    runtime.broker = local


async def refused(call: Any, reason: int = OVER) -> None:
    with pytest.raises(BrokerError) as caught:
        await call
    assert reason_name(caught.value.reason) == reason_name(reason)


async def test_a_program_of_somebody_elses_session_under_ones_own_handle(server: RemoteBroker, runtime: Any, take_seat: Any) -> None:
    victim, other = await take_seat(runtime), await take_seat(runtime, Client(user_id="user-b"))
    answer = await server.open_sealed(victim.sealed(), other.handle)
    assert isinstance(answer, Rejected)
    assert answer.reason == reasons_pb2.ERROR_REASON_GRANT_MISMATCH
    assert isinstance(await server.open_sealed(victim.sealed(), victim.handle), Run)


async def test_a_program_of_another_user_of_the_same_session(server: RemoteBroker, runtime: Any, take_seat: Any) -> None:
    victim = await take_seat(runtime)
    _, other = await runtime.attach(Client("user-b", victim.client.session_id, victim.client.notebook_id))
    answer = await server.open_sealed(victim.sealed(), other.handle)
    assert isinstance(answer, Rejected)
    assert answer.reason == reasons_pb2.ERROR_REASON_GRANT_MISMATCH


async def test_a_program_whose_sender_never_attached(server: RemoteBroker, runtime: Any, take_seat: Any, plane: ControlPlane) -> None:
    seat, client = await take_seat(runtime), Client()
    _, pending = await server.hello(plane.capability(client), plane.challenge(client), client.nonce, client.key.public, ORIGIN, [], b"")
    for handle in (b"", bytes(16), pending, seat.handle[:-1], seat.handle + b"\0"):
        await refused(server.open_sealed(seat.sealed(), handle))


async def test_a_handle_after_its_client_detached(server: RemoteBroker, runtime: Any, take_seat: Any) -> None:
    seat = await take_seat(runtime)
    await server.detach(seat.handle)
    await refused(server.open_sealed(seat.sealed(), seat.handle))
    await refused(server.kernel_started(seat.handle, "python3"))


async def test_a_handle_after_its_time(server: RemoteBroker, runtime: Any, take_seat: Any, plane: ControlPlane) -> None:
    seat = await take_seat(runtime)
    plane.clock.now_ms += 25 * HOUR_MS
    await server.accept_trust([], plane.trust_state())
    await refused(server.open_sealed(seat.sealed(), seat.handle))
    await refused(server.kernel_started(seat.handle, "python3"))


async def test_a_kernel_for_a_session_of_which_nobody_is_attached(server: RemoteBroker) -> None:
    await refused(server.kernel_started(bytes(16), "python3"))


async def test_a_kernel_under_a_viewers_handle(server: RemoteBroker, runtime: Any) -> None:
    _, viewer = await runtime.attach(Client(), scopes=[attach_pb2.SCOPE_VIEW])
    await refused(server.kernel_started(viewer.handle, "python3"), reasons_pb2.ERROR_REASON_SCOPE_MISSING)


async def test_a_kernel_is_of_its_askers_session(server: RemoteBroker, runtime: Any, take_seat: Any) -> None:
    victim, other = await take_seat(runtime), await take_seat(runtime)
    assert (await server.kernel_started(other.handle, "python3")).session_id == other.client.session_id
    assert other.client.session_id != victim.client.session_id


async def test_an_answer_to_somebody_elses_prompt(server: RemoteBroker, runtime: Any, take_seat: Any) -> None:
    ann = await take_seat(runtime)
    _, ben = await runtime.attach(Client("user-b", ann.client.session_id, ann.client.notebook_id))
    run = await server.open_sealed(ann.sealed(), ann.handle)
    assert isinstance(run, Run)
    await refused(server.may_answer(ben.handle, run.nonce), reasons_pb2.ERROR_REASON_INPUT_REFUSED)
    await server.may_answer(ann.handle, run.nonce)


class Greeting:
    """A client between Hello and ClientAuth."""

    def __init__(self, server: RemoteBroker, plane: ControlPlane) -> None:
        self.server, self.plane, self.client = server, plane, Client()

    async def begin(self) -> "Greeting":
        client, plane = self.client, self.plane
        data, self.handle = await self.server.hello(
            plane.capability(client), plane.challenge(client), client.nonce, client.key.public, ORIGIN, [], b""
        )
        self.auth = sign(attach_pb2.ClientAuth(hello_digest=signed_digest(data), origin=ORIGIN), client.key)
        return self


async def test_a_client_auth_is_tried_once(server: RemoteBroker, plane: ControlPlane) -> None:
    one, other = await Greeting(server, plane).begin(), await Greeting(server, plane).begin()
    await refused(server.attach(one.handle, other.auth), NOT_ATTACHED)
    await refused(server.attach(one.handle, one.auth), NOT_ATTACHED)
    assert (await server.attach(other.handle, other.auth)).session_id == other.client.session_id
    await refused(server.attach(other.handle, other.auth), NOT_ATTACHED)


async def test_a_client_auth_that_comes_too_late_or_after_a_detach(server: RemoteBroker, plane: ControlPlane) -> None:
    late, gone = await Greeting(server, plane).begin(), await Greeting(server, plane).begin()
    await server.detach(gone.handle)
    await refused(server.attach(gone.handle, gone.auth), NOT_ATTACHED)
    plane.clock.now_ms += 3 * MINUTE_MS
    await refused(server.attach(late.handle, late.auth), NOT_ATTACHED)


async def test_greetings_without_end_are_forgotten_oldest_first(server: RemoteBroker, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PENDING_AT_ONCE", 3)
    greetings = [await Greeting(server, plane).begin() for _ in range(4)]
    await refused(server.attach(greetings[0].handle, greetings[0].auth), NOT_ATTACHED)
    for greeting in greetings[1:]:
        await server.attach(greeting.handle, greeting.auth)


async def test_attachments_without_end_take_nobodys_place(server: RemoteBroker, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "ATTACHED_AT_ONCE", 1)
    first, second = await Greeting(server, plane).begin(), await Greeting(server, plane).begin()
    await server.attach(first.handle, first.auth)
    await refused(server.attach(second.handle, second.auth), reasons_pb2.ERROR_REASON_UNAVAILABLE)
    await server.kernel_started(first.handle, "python3")
    await server.detach(first.handle)
    third = await Greeting(server, plane).begin()
    await server.attach(third.handle, third.auth)
