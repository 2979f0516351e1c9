"""Attacks by code that somebody left in a kernel: the broker remembers whose programs it admitted, whatever the compiler says."""

import asyncio
from typing import Any

import pytest

from spin_envelope.signing import sign
from spin_runtime.broker.api import Rejected, Run, RunEnd
from spin_runtime.broker.refusals import reason_name
from spinapis.envelope.v1 import receipt_pb2, run_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import Client, ControlPlane, use
from tests.fakes.echo_processor import Echo
from tests.runtime.broker.conftest import Runtime, Seat
from tests.runtime.broker.test_operations_refused import CONNECTION, asked, entry, failed

TAINTED = reasons_pb2.ERROR_REASON_KERNEL_TAINTED
USE = use(CONNECTION, "echo.say")
ANN, BEN = run_pb2.Principal(user_id="ann"), run_pb2.Principal(user_id="ben")


@pytest.fixture
async def runtime(plane: ControlPlane, make_runtime) -> Runtime:
    made = make_runtime(plane, processors=lambda cell_type: Echo() if cell_type == "echo" else None)
    await made.pair()
    await made.broker.accept_trust([], plane.trust_state())
    return made


@pytest.fixture
async def ann(runtime: Runtime, take_seat) -> Seat:
    """Who may use the connection."""
    made: Seat = await take_seat(runtime, Client(user_id="ann"))
    await made.give_bundle(1, entry())
    return made


@pytest.fixture
async def ben(runtime: Runtime, ann: Seat) -> Seat:
    """Who may not, in the same session and kernel."""
    client = Client(user_id="ben", session_id=ann.client.session_id, notebook_id=ann.client.notebook_id)
    hello, attachment = await runtime.attach(client)
    return Seat(runtime, client, hello, attachment.handle, ann.kernel)


async def started(seat: Seat, *uses: run_pb2.ConnectionUse, **fields: Any) -> Run:
    opened = await seat.open(seat.sealed(seat.grant(connections=uses, **fields)))
    assert isinstance(opened, Run), opened
    await seat.runtime.broker.run_started(opened.nonce)
    return opened


async def said(run: Run) -> list[Any]:
    return await asked(run.socket_path, run.ticket, "echo.say", {"q": 1})


async def test_a_run_granted_before_somebody_else_came_uses_nothing_while_their_code_is_there(ann: Seat, ben: Seat) -> None:
    """Overlapping runs: what was granted earlier is judged at each use, from the moment that the other's program is admitted."""
    run = await started(ann, USE)
    assert (await said(run))[-1].WhichOneof("body") == "end"
    assert isinstance(await ben.open(ben.sealed()), Run)
    text = failed(await said(run), TAINTED)
    assert "'the echo'" in text and "restart the kernel" in text
    await ann.runtime.broker.run_ended(RunEnd(run.nonce, receipt_pb2.RUN_STATUS_OK, 0, bytes(32), False))
    (count,) = (await ann.runtime.receipts())[-1].operations
    assert (count.count, count.denied) == (1, 1)


async def test_the_grant_that_speaks_of_everyone_is_used_on(ann: Seat, ben: Seat) -> None:
    run = await started(ann, USE, principals=[ANN, BEN])
    await started(ben)
    assert (await said(run))[-1].WhichOneof("body") == "end"


async def test_somebodys_agent_is_not_that_person(ann: Seat) -> None:
    run = await started(ann, USE)
    await started(ann, actor_chain=["api_key:1"])
    failed(await said(run), TAINTED)


async def test_a_program_whose_grant_leaves_somebody_out_is_rejected_and_says_so(ann: Seat, ben: Seat) -> None:
    await started(ben)
    refused = await ann.open(ann.sealed(ann.grant(connections=[USE])))
    assert isinstance(refused, Rejected) and reason_name(refused.reason) == reason_name(TAINTED)
    receipt = (await ann.runtime.receipts())[-1]
    assert (receipt.type, receipt.reason) == (receipt_pb2.RECEIPT_TYPE_REJECT, reason_name(TAINTED))


@pytest.mark.parametrize("principals", [[], [BEN]], ids=["none", "somebody else"])
async def test_a_grant_that_does_not_speak_of_its_own_user_opens_nothing(ann: Seat, principals: list[run_pb2.Principal]) -> None:
    refused = await ann.open(ann.sealed(ann.grant(connections=[USE], principals=principals)))
    assert isinstance(refused, Rejected) and reason_name(refused.reason) == reason_name(TAINTED)


async def test_a_compiler_that_signs_the_principals_itself_is_refused(ann: Seat, ben: Seat, plane: ControlPlane) -> None:
    await started(ben)
    grant = ann.grant(connections=[USE], principals=[ANN, BEN])
    forged = sign(grant, plane.keys[trust_pb2.ROLE_COMPILER])
    refused = await ann.open(plane.seal(plane.program(grant, signed_grant=forged), ann.hello))
    assert isinstance(refused, Rejected) and reason_name(refused.reason) == "ERROR_REASON_OPEN_FAILED"


async def test_a_new_kernel_has_nobodys_code(ann: Seat, ben: Seat) -> None:
    await started(ben)
    await ann.runtime.broker.kernel_ended(ann.kernel.kernel_epoch, "restarted")
    ann.kernel = await ann.runtime.broker.kernel_started(ann.handle, "python3")
    assert (await said(await started(ann, USE)))[-1].WhichOneof("body") == "end"


async def test_a_refused_program_leaves_nothing_behind(ann: Seat, ben: Seat, plane: ControlPlane) -> None:
    """Its code was handed to nobody."""
    replayed = ben.grant()
    run = await started(ann, USE)
    assert isinstance(await ben.open(ben.sealed(replayed)), Rejected)
    assert (await said(run))[-1].WhichOneof("body") == "end"


async def test_who_comes_while_a_use_waits_for_credentials_counts(ann: Seat, ben: Seat, plane: ControlPlane) -> None:
    run = await started(ann, USE)
    await ann.runtime.broker.accept_trust([], plane.trust_state(min_bundle_version=3))
    waiting = asyncio.create_task(said(run))
    await asyncio.sleep(0)
    assert isinstance(await ben.open(ben.sealed()), Run)
    await ann.give_bundle(3, entry())
    failed(await waiting, TAINTED)


async def test_the_runtimes_own_operations_are_everybodys(ann: Seat, ben: Seat) -> None:
    own = run_pb2.ConnectionUse(operations=["runtime_env.get"], params_digest=use(b"", "x", params={"name": "HOME"}).params_digest)
    run = await started(ann, own)
    await started(ben)
    (reply,) = await asked(run.socket_path, run.ticket, "runtime_env.get", {"name": "HOME"}, connection_id=b"")
    assert reply.failure.reason == reasons_pb2.ERROR_REASON_NOT_FOUND


# Uses that are judged at their time: what a variable may name.


def at_use(*able: int, connection_id: bytes = CONNECTION) -> run_pb2.ConnectionUse:
    granted = use(connection_id, "echo.say")
    granted.at_use = True
    granted.able.extend(able)
    return granted


NAMED = [run_pb2.Principal(user_id="ann", name="Ann A."), run_pb2.Principal(user_id="ben", name="Ben B.")]


async def test_a_use_that_not_everybody_may_make_keeps_no_run_from_running(ann: Seat, ben: Seat) -> None:
    """It is refused when it comes, with the secret's name and whose code it is; another of the same run is not."""
    other = b"o" * 16
    await ann.give_bundle(2, entry(), entry(connection_id=other, name="the other"), prev_digest=ann.runtime.broker._states.state.bundle_digest)
    await started(ben)
    run = await started(ann, at_use(0), at_use(0, 1, connection_id=other), principals=[], candidates=NAMED)
    text = failed(await said(run), TAINTED)
    assert "The secret 'the echo'" in text and "code of Ben B." in text and "restart the kernel" in text
    assert (await asked(run.socket_path, run.ticket, "echo.say", {"q": 1}, connection_id=other))[-1].WhichOneof("body") == "end"


async def test_who_comes_after_the_grant_is_judged_at_the_use_too(ann: Seat, ben: Seat) -> None:
    run = await started(ann, at_use(0), principals=[], candidates=NAMED[:1])
    assert (await said(run))[-1].WhichOneof("body") == "end"
    await started(ben)
    assert "somebody who came later" in failed(await said(run), TAINTED)


@pytest.mark.parametrize("able", [[], [1], [7]], ids=["nobody", "somebody else", "nobody there is"])
async def test_a_use_that_speaks_of_others_alone(ann: Seat, able: list[int]) -> None:
    run = await started(ann, at_use(*able), principals=[ANN, BEN], candidates=NAMED)
    failed(await said(run), TAINTED)


async def test_a_connection_that_is_named_as_well_is_judged_for_the_whole_run(ann: Seat, ben: Seat) -> None:
    await started(ben)
    refused = await ann.open(ann.sealed(ann.grant(connections=[USE, at_use(0, 1)], principals=[ANN], candidates=NAMED)))
    assert isinstance(refused, Rejected) and reason_name(refused.reason) == reason_name(TAINTED)


async def test_a_guarded_operation_is_never_done_by_such_a_use_whatever_was_approved(ann: Seat, plane: ControlPlane) -> None:
    await ann.give_bundle(2, entry(approval_operations=["echo.say"]), prev_digest=ann.runtime.broker._states.state.bundle_digest)
    guarded = at_use(0)
    guarded.connection_version = 1
    grant = ann.grant(connections=[guarded], candidates=NAMED)
    approved = run_pb2.ConnectionUse()
    approved.CopyFrom(guarded)
    approved.ClearField("able")
    grant.approvals.append(plane.approval(grant, uses=[approved]))
    run = await ann.open(ann.sealed(grant))
    assert isinstance(run, Run)
    await ann.runtime.broker.run_started(run.nonce)
    assert "needs the approval" in failed(await said(run), reasons_pb2.ERROR_REASON_OPERATION_DENIED)
