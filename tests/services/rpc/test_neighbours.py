"""Services of one process call each other as if there were a socket between them: who may, what fails, when it ends."""

import asyncio
from dataclasses import replace
from typing import Any

import grpc
import pytest

from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.rpc.identity import Caller, set_caller
from spin_services.rpc.limits import MAXIMUM_MESSAGE
from spin_services.rpc.neighbours import Neighbours
from spin_services.rpc.server import App
from spinapis.compiler.v1 import compiler_pb2
from spinapis.compiler.v1.compiler_pb2_grpc import CompilerServiceStub, add_CompilerServiceServicer_to_server
from tests.fakes.installation import Installation, refused

USER = "b2" * 16
both_ways = pytest.mark.parametrize("way", ["socket", "door"], indirect=True)
at_the_door = pytest.mark.parametrize("way", ["door"], indirect=True)


def peer(installation: Installation) -> Any:
    """The compiler as the workspace service sees it, while it serves the user."""
    set_caller(Caller(user_id=USER, access_token=installation.access_token(USER)))
    return installation.wiring("workspace").peers.stub(CompilerServiceStub)


@both_ways
async def test_a_peer_is_known_as_the_service_and_its_user(served: Any, installation: Installation) -> None:
    await peer(installation).ListCellTypes(compiler_pb2.ListCellTypesRequest())
    assert (served.probe.callers[0].service, served.probe.callers[0].user_id) == ("workspace", USER)


@both_ways
async def test_an_error_is_told_in_full(served: Any, installation: Installation) -> None:
    async def fail() -> None:
        violations = [("cell.source:3", "ends too soon"), ("cell.fields.a", "is no number")]
        raise ServiceError(ErrorReason.ERROR_REASON_CELL_INVALID, "line 3: ü", violations=violations, cell_type="sql")

    served.probe.behaviour = fail
    with pytest.raises(ServiceError) as caught:
        await peer(installation).ListCellTypes(compiler_pb2.ListCellTypesRequest())
    error = caught.value
    assert (error.reason, error.code, error.text) == (ErrorReason.ERROR_REASON_CELL_INVALID, grpc.StatusCode.INVALID_ARGUMENT, "line 3: ü")
    assert dict(error.metadata) == {"cell_type": "sql"}
    assert error.violations == (("cell.source:3", "ends too soon"), ("cell.fields.a", "is no number"))


@both_ways
async def test_an_unforeseen_failure_stays_inside(served: Any, installation: Installation) -> None:
    async def fail() -> None:
        raise RuntimeError("the password is hunter2")

    served.probe.behaviour = fail
    with pytest.raises(ServiceError) as caught:
        await peer(installation).ListCellTypes(compiler_pb2.ListCellTypesRequest())
    assert caught.value.reason == ErrorReason.ERROR_REASON_INTERNAL
    assert "hunter2" not in f"{caught.value} {caught.value.metadata}"


@both_ways
async def test_no_call_outlives_its_deadline(served: Any, installation: Installation) -> None:
    ended = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    served.probe.behaviour = hang
    with pytest.raises(ServiceError) as caught:
        await peer(installation).ListCellTypes(compiler_pb2.ListCellTypesRequest(), timeout=0.2)
    assert caught.value.reason == ErrorReason.ERROR_REASON_UNAVAILABLE
    await asyncio.wait_for(ended.wait(), 5)


@both_ways
async def test_a_call_ends_with_its_caller(served: Any, installation: Installation) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    served.probe.behaviour = hang
    calling = asyncio.ensure_future(peer(installation).ListCellTypes(compiler_pb2.ListCellTypesRequest()))
    await started.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await asyncio.wait_for(ended.wait(), 5)


@both_ways
async def test_a_callee_that_ends_early_does_not_end_its_caller(served: Any, installation: Installation) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    served.probe.behaviour = cancelled
    with pytest.raises(ServiceError) as caught:
        await peer(installation).ListCellTypes(compiler_pb2.ListCellTypesRequest(), timeout=2)
    assert caught.value.reason == ErrorReason.ERROR_REASON_UNAVAILABLE


@both_ways
async def test_nobody_inherits_the_identity_of_who_calls(served: Any, installation: Installation) -> None:
    set_caller(Caller(user_id=USER, service="compiler", is_admin=True, access_token=installation.access_token(USER)))
    with refused() as refusal:
        await served.list(())
    assert refusal.reason == "UNAUTHENTICATED"
    assert served.probe.callers == []


@both_ways
async def test_a_revoked_sign_in_does_not_live_on_in_the_cache(installation: Installation, way: str, served: Any) -> None:
    revoked: set[str] = set()

    async def admit(caller: Caller) -> None:
        if caller.session_id in revoked:
            raise ServiceError(ErrorReason.ERROR_REASON_UNAUTHENTICATED)

    if way == "door":
        installation.neighbours = Neighbours(["workspace"])
    app = App("workspace", [(add_CompilerServiceServicer_to_server, served.probe, "spinapis.compiler.v1.CompilerService")], admit=admit)
    await installation.start(app, installation.wiring("workspace"))
    stub, metadata = CompilerServiceStub(installation.channel("workspace")), installation.as_user(USER)
    await stub.ListCellTypes(compiler_pb2.ListCellTypesRequest(), metadata=metadata)
    revoked.add("0" * 32)
    with refused() as refusal:
        await stub.ListCellTypes(compiler_pb2.ListCellTypesRequest(), metadata=metadata)
    assert refusal.reason == "UNAUTHENTICATED"


@both_ways
async def test_a_message_over_the_limit_is_refused(served: Any, installation: Installation) -> None:
    request = compiler_pb2.ListCellTypesRequest(page_token="x" * (MAXIMUM_MESSAGE + 1))
    with pytest.raises(ServiceError) as caught:
        await peer(installation).ListCellTypes(request)
    assert caught.value.reason == ErrorReason.ERROR_REASON_UNAVAILABLE
    assert served.probe.callers == []


@at_the_door
async def test_what_one_side_changes_the_other_does_not_see(served: Any, installation: Installation) -> None:
    seen: list[compiler_pb2.ListCellTypesRequest] = []
    answer = compiler_pb2.ListCellTypesResponse(next_page_token="kept")

    async def list_types(request: compiler_pb2.ListCellTypesRequest, context: Any) -> compiler_pb2.ListCellTypesResponse:
        seen.append(request)
        return answer

    installation.neighbours, served.probe.ListCellTypes = Neighbours(["workspace"]), list_types
    app = App("workspace", [(add_CompilerServiceServicer_to_server, served.probe, "spinapis.compiler.v1.CompilerService")])
    await installation.start(app, installation.wiring("workspace"))
    request = compiler_pb2.ListCellTypesRequest(page_token="sent")
    stub = CompilerServiceStub(installation.channel("workspace"))
    received = await stub.ListCellTypes(request, metadata=installation.as_user(USER))
    request.page_token = received.next_page_token = "changed"
    assert (seen[0].page_token, answer.next_page_token) == ("sent", "kept")


@at_the_door
async def test_neighbours_need_no_socket(served: Any, installation: Installation) -> None:
    nowhere = dict.fromkeys(installation.platform.addresses, "127.0.0.1:1")
    installation.platform = replace(installation.platform, addresses=nowhere)
    await peer(installation).ListCellTypes(compiler_pb2.ListCellTypesRequest(), timeout=2)
    assert len(served.probe.callers) == 1


async def test_a_neighbour_that_starts_later_is_waited_for(served: Any, installation: Installation) -> None:
    installation.neighbours = Neighbours(["workspace"])
    stub, metadata = CompilerServiceStub(installation.channel("workspace")), installation.as_user(USER)
    with refused() as refusal:
        await stub.ListCellTypes(compiler_pb2.ListCellTypesRequest(), metadata=metadata, timeout=0.05)
    assert refusal.reason == "UNAVAILABLE"
    waiting = asyncio.ensure_future(stub.ListCellTypes(compiler_pb2.ListCellTypesRequest(), metadata=metadata, timeout=10))
    app = App("workspace", [(add_CompilerServiceServicer_to_server, served.probe, "spinapis.compiler.v1.CompilerService")])
    await installation.start(app, installation.wiring("workspace"))
    assert await waiting == compiler_pb2.ListCellTypesResponse()


@at_the_door
async def test_a_drain_lets_a_neighbours_call_finish_and_takes_no_other(served: Any, installation: Installation) -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        started.set()
        await finish.wait()

    served.probe.behaviour = slow
    stub = peer(installation)
    running = asyncio.ensure_future(stub.ListCellTypes(compiler_pb2.ListCellTypesRequest()))
    await started.wait()
    door = installation.neighbours.door("compiler")
    assert door is not None
    draining = asyncio.ensure_future(door.drain(5))
    await asyncio.sleep(0)
    with pytest.raises(ServiceError) as caught:
        await stub.ListCellTypes(compiler_pb2.ListCellTypesRequest())
    assert caught.value.reason == ErrorReason.ERROR_REASON_UNAVAILABLE
    finish.set()
    assert await running == compiler_pb2.ListCellTypesResponse()
    await asyncio.wait_for(draining, 5)


@at_the_door
async def test_what_nobody_serves_is_said(served: Any, installation: Installation) -> None:
    call = installation.channel("compiler").unary_unary(
        "/spinapis.compiler.v1.CompilerService/Nothing", request_serializer=bytes, response_deserializer=bytes
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"", metadata=installation.as_user(USER))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
