"""What is typed at a run's prompt may be code, and runs with the run's ticket: the broker says whose answer counts."""

from typing import Any

import pytest

from spin_runtime.broker.api import BrokerError, Run, RunEnd
from spin_runtime.broker.refusals import reason_name
from spinapis.envelope.v1 import attach_pb2, receipt_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import HOUR_MS, Client
from tests.runtime.broker.conftest import Runtime, Seat

REFUSED = reasons_pb2.ERROR_REASON_INPUT_REFUSED
AGENT = ["api_key:1"]


async def started(seat: Seat, **grant: Any) -> Run:
    opened = await seat.open(seat.sealed(seat.grant(**grant)))
    assert isinstance(opened, Run), opened
    await seat.runtime.broker.run_started(opened.nonce)
    return opened


async def refused(runtime: Runtime, handle: bytes, run: Run, reason: int = REFUSED) -> BrokerError:
    with pytest.raises(BrokerError) as caught:
        await runtime.broker.may_answer(handle, run.nonce)
    assert reason_name(caught.value.reason) == reason_name(reason)
    return caught.value


def beside(seat: Seat, user_id: str) -> Client:
    """Somebody in the same session."""
    return Client(user_id, seat.client.session_id, seat.client.notebook_id)


async def test_whoever_ran_the_cell_answers_from_any_connection_of_theirs(runtime: Runtime, seat: Seat) -> None:
    run = await started(seat)
    await runtime.broker.may_answer(seat.handle, run.nonce)
    _, other_page = await runtime.attach(beside(seat, seat.client.user_id))
    await runtime.broker.may_answer(other_page.handle, run.nonce)


async def test_nobody_else_who_may_run_cells_in_the_session_answers(runtime: Runtime, seat: Seat) -> None:
    run = await started(seat)
    _, ben = await runtime.attach(beside(seat, "ben"))
    error = await refused(runtime, ben.handle, run)
    assert error.metadata == {"user_id": seat.client.user_id}
    assert "Whoever ran this cell" in error.text and "Interrupt the cell" in error.text and "take the session over" in error.text


async def test_an_agent_does_not_answer_for_the_person_it_acts_for_nor_the_person_for_it(runtime: Runtime, seat: Seat) -> None:
    _, agent = await runtime.attach(beside(seat, seat.client.user_id), actor_chain=AGENT)
    persons, agents = await started(seat), await started(seat, actor_chain=AGENT)
    await refused(runtime, agent.handle, persons)
    await refused(runtime, seat.handle, agents)
    await runtime.broker.may_answer(agent.handle, agents.nonce)
    _, another = await runtime.attach(beside(seat, seat.client.user_id), actor_chain=["api_key:2"])
    await refused(runtime, another.handle, agents)


async def test_the_same_person_in_another_session_does_not_answer(runtime: Runtime, seat: Seat, take_seat: Any) -> None:
    elsewhere = await take_seat(runtime)
    assert elsewhere.client.user_id == seat.client.user_id
    await refused(runtime, elsewhere.handle, await started(seat))


async def test_who_may_only_view_by_now_does_not_answer_their_own_run(runtime: Runtime, seat: Seat) -> None:
    run = await started(seat)
    _, viewer = await runtime.attach(beside(seat, seat.client.user_id), scopes=[attach_pb2.SCOPE_VIEW])
    await refused(runtime, viewer.handle, run, reasons_pb2.ERROR_REASON_SCOPE_MISSING)


async def test_nobody_answers_under_a_handle_that_is_over_or_unknown(runtime: Runtime, seat: Seat) -> None:
    run = await started(seat)
    await refused(runtime, bytes(16), run, reasons_pb2.ERROR_REASON_HELLO_STALE)
    runtime.plane.clock.now_ms += 2 * HOUR_MS
    await refused(runtime, seat.handle, run, reasons_pb2.ERROR_REASON_HELLO_STALE)


async def test_nobody_answers_a_run_that_ended(runtime: Runtime, seat: Seat) -> None:
    run = await started(seat)
    await runtime.broker.run_ended(RunEnd(run.nonce, receipt_pb2.RUN_STATUS_OK, 0, bytes(32), False))
    await refused(runtime, seat.handle, run, reasons_pb2.ERROR_REASON_INTERNAL)
