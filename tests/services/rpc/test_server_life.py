"""Deadlines, limits, failures, health, reflection and drain of a server."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from spin_services.rpc import calls
from spin_services.rpc.limits import MAXIMUM_MESSAGE
from spin_services.rpc.server import App, PortTaken, Server
from spinapis.auth.v1.members_pb2 import MEMBER_ROLE_AUDITOR, MEMBER_ROLE_OWNER
from spinapis.compiler.v1 import compiler_pb2
from spinapis.envelope.v1.trust_pb2 import Role
from tests.fakes.installation import Installation, refused

WORKSPACE, USER = "a1" * 16, "b2" * 16


async def test_an_unforeseen_failure_says_nothing_but_a_trace_id(served: Any, installation: Installation) -> None:
    async def fail() -> None:
        raise RuntimeError("the password is hunter2")

    served.probe.behaviour = fail
    trace = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-00"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.list((*installation.as_user(USER), ("traceparent", trace)))
    assert "hunter2" not in str(caught.value) + repr(caught.value.trailing_metadata())
    with refused() as refusal:
        await served.list((*installation.as_user(USER), ("traceparent", trace)))
    assert refusal.reason == "INTERNAL"
    assert refusal.error is not None and dict(refusal.error.metadata) == {"trace_id": "ab" * 16}


async def test_a_call_without_a_deadline_gets_one(served: Any, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "DEFAULT_DEADLINE_S", 0.2)
    served.probe.behaviour = asyncio.Event().wait
    with refused() as refusal:
        await served.list(installation.as_user(USER))
    assert refusal.reason == "UNAVAILABLE"


async def test_a_message_over_the_limit_is_refused(served: Any, installation: Installation) -> None:
    request = compiler_pb2.ListCellTypesRequest(page_token="x" * (MAXIMUM_MESSAGE + 1))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.compiler.ListCellTypes(request, metadata=installation.as_user(USER))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert served.probe.callers == []


async def test_a_message_of_four_mebibytes_is_served(served: Any, installation: Installation) -> None:
    request = compiler_pb2.ListCellTypesRequest(page_token="x" * 4 * 1024 * 1024)
    await served.compiler.ListCellTypes(request, metadata=installation.as_user(USER))


async def test_health_and_reflection_answer_without_a_token(served: Any, installation: Installation) -> None:
    channel = installation.channel("compiler")
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="spinapis.compiler.v1.CompilerService"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for found in stub.ServerReflectionInfo(iter([request])):
        names = {service.name for service in found.list_services_response.service}
        assert {"spinapis.compiler.v1.CompilerService", "spinapis.audit.v1.LogService", "grpc.health.v1.Health"} <= names


async def test_a_stream_ends_when_its_callers_token_expires(served: Any, installation: Installation) -> None:
    served.access.roles[USER, WORKSPACE] = MEMBER_ROLE_AUDITOR
    stream = served.watch(installation.as_user(USER, exp=installation.clock() // 1000 + 2))
    assert await stream.read()
    with refused() as refusal:
        await asyncio.wait_for(stream.read(), 5)
    assert refusal.reason == "TOKEN_EXPIRED"


async def test_drain_ends_streams_and_lets_calls_finish(served: Any, installation: Installation) -> None:
    served.access.roles[USER, WORKSPACE] = MEMBER_ROLE_OWNER
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        started.set()
        await finish.wait()

    stream = served.watch(installation.as_user(USER))
    assert await stream.read()
    served.probe.behaviour = slow
    running = asyncio.ensure_future(served.list(installation.as_user(USER)))
    await started.wait()
    health = health_pb2_grpc.HealthStub(installation.channel("compiler")).Watch(health_pb2.HealthCheckRequest())
    assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
    draining = asyncio.ensure_future(served.server.drain())
    assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    with refused() as refusal:
        await asyncio.wait_for(stream.read(), 5)
    assert refusal.reason == "UNAVAILABLE"
    finish.set()
    assert await running == compiler_pb2.ListCellTypesResponse()
    health.cancel()
    await asyncio.wait_for(draining, 5)


async def test_a_taken_port_is_told_plainly(served: Any, installation: Installation) -> None:
    wiring = installation.wiring("compiler")
    with pytest.raises(PortTaken, match=r"cannot listen on 127\.0\.0\.1:"):
        await Server(App("compiler", []), wiring).start()
    await wiring.close()


async def test_rotated_keys_count_without_a_restart(served: Any, installation: Installation) -> None:
    before = installation.as_user(USER)
    await served.list(before)
    old = installation.keys.role_key(Role.ROLE_AUTH).key_id
    another_process = Installation.keys_of(installation.platform, installation.clock)
    another_process.rotate(Role.ROLE_AUTH)
    await asyncio.sleep(1.1)
    assert installation.keys.role_key(Role.ROLE_AUTH).key_id != old
    await served.list(installation.as_user(USER))
    await served.list(before)
    another_process.rotate(Role.ROLE_AUTH)
    await asyncio.sleep(1.1)
    with refused() as refusal:
        await served.list(before)
    assert refusal.reason == "UNAUTHENTICATED"
