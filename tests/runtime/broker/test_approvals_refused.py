"""Attacks on four eyes at the broker: the compiler alone cannot go round an approval, and an approval is of one run."""

from typing import Any

import pytest

from spin_envelope.signing import sign
from spin_runtime.broker.api import Rejected, Run
from spin_runtime.broker.refusals import reason_name
from spinapis.envelope.v1 import run_pb2, trust_pb2
from spinapis.envelope.v1.signed_pb2 import SignedMessage
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import HOUR_MS, ControlPlane, use
from tests.fakes.echo_processor import Echo
from tests.runtime.broker.test_operations_refused import CONNECTION, DENIED, asked, entry, failed

USE = use(CONNECTION, "echo.say", params={"q": 1})
USE.connection_version = 1
MISMATCH = reason_name(reasons_pb2.ERROR_REASON_GRANT_MISMATCH)


@pytest.fixture
async def seat(plane: ControlPlane, make_runtime, take_seat):
    """With a connection whose operation is guarded."""
    runtime = make_runtime(plane, processors=lambda cell_type: Echo() if cell_type == "echo" else None)
    await runtime.pair()
    await runtime.broker.accept_trust([], plane.trust_state())
    made = await take_seat(runtime)
    await made.give_bundle(1, entry(approval_operations=["echo.say"]))
    return made


async def opened(seat, approvals: Any, **fields: Any) -> Run | Rejected:
    """A run with what `approvals` makes of its grant."""
    grant = seat.grant(connections=[USE], **fields)
    grant.approvals.extend(approvals(grant))
    return await seat.open(seat.sealed(grant))


async def test_a_guarded_operation_runs_with_an_approval(seat, plane: ControlPlane) -> None:
    run = await opened(seat, lambda grant: [plane.approval(grant)])
    await seat.runtime.broker.run_started(run.nonce)
    replies = await asked(run.socket_path, run.ticket, "echo.say", {"q": 1})
    assert replies[-1].WhichOneof("body") == "end"


async def test_without_an_approval_the_operation_is_denied_whatever_the_grant_says(seat) -> None:
    run = await opened(seat, lambda grant: [])
    await seat.runtime.broker.run_started(run.nonce)
    text = failed(await asked(run.socket_path, run.ticket, "echo.say", {"q": 1}), DENIED)
    assert "second person" in text and "the echo" in text


async def test_what_was_approved_for_the_connection_as_it_was_is_denied_once_it_was_changed(seat, plane: ControlPlane) -> None:
    """Whoever leads it elsewhere between approval and run gets nothing; so does a compiler that leaves the version out."""
    run = await opened(seat, lambda grant: [plane.approval(grant)])
    await seat.runtime.broker.run_started(run.nonce)
    await seat.give_bundle(3, entry(approval_operations=["echo.say"], version=2))
    assert "changed after this run was approved" in failed(await asked(run.socket_path, run.ticket, "echo.say", {"q": 1}), DENIED)
    without = use(CONNECTION, "echo.say", params={"q": 1})
    grant = seat.grant(connections=[without])
    grant.approvals.append(plane.approval(grant))
    run = await seat.open(seat.sealed(grant))
    await seat.runtime.broker.run_started(run.nonce)
    assert "another approval" in failed(await asked(run.socket_path, run.ticket, "echo.say", {"q": 1}), DENIED)


@pytest.mark.parametrize(
    "changes",
    [
        {"source_digest": bytes(32)},
        {"user_id": "someone else"},
        {"cell_id": "cell-2"},
        {"notebook_id": b"n" * 16},
        {"actor_chain": ["api_key:1"]},
        {"uses": []},
        {"uses": [use(CONNECTION, "echo.say", params={"q": 2})]},
        {"uses": [use(CONNECTION, "echo.say", params={"q": 1})]},
        {"uses": [USE, use(CONNECTION, "echo.fail", params={"q": 1})]},
        {"approver_id": ""},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_an_approval_of_another_run_is_refused(seat, plane: ControlPlane, changes: dict[str, Any]) -> None:
    refused = await opened(seat, lambda grant: [plane.approval(grant, **changes)])
    assert isinstance(refused, Rejected) and reason_name(refused.reason) == MISMATCH


async def test_a_run_that_its_own_user_approved_is_refused(seat, plane: ControlPlane) -> None:
    refused = await opened(seat, lambda grant: [plane.approval(grant, approver_id=grant.user_id)])
    assert isinstance(refused, Rejected) and reason_name(refused.reason) == MISMATCH


async def test_an_approval_that_the_compiler_signed_is_refused(seat, plane: ControlPlane) -> None:
    def forged(grant: run_pb2.RunGrant) -> list[bytes]:
        approval = run_pb2.Approval.FromString(_payload(plane.approval(grant)))
        return [sign(approval, plane.keys[trust_pb2.ROLE_COMPILER])]

    refused = await opened(seat, forged)
    assert isinstance(refused, Rejected) and reason_name(refused.reason) == MISMATCH


async def test_an_approval_whose_time_was_over_when_the_run_was_granted_is_refused(seat, plane: ControlPlane) -> None:
    over = {"issued_at_ms": plane.clock() - 2 * HOUR_MS, "expires_at_ms": plane.clock() - HOUR_MS}
    refused = await opened(seat, lambda grant: [plane.approval(grant, **over)])
    assert isinstance(refused, Rejected) and reason_name(refused.reason) == MISMATCH


def _payload(data: bytes) -> bytes:
    return SignedMessage.FromString(data).payload
