"""How long trust lasts: fresh, in its grace, expired, revoked; whatever the clock does, and across restarts."""

from collections.abc import Callable

import pytest

from spin_runtime.broker.api import BrokerError, Rejected, Run, RunEnd
from spinapis.envelope.v1 import receipt_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import HOUR_MS, MINUTE_MS, ControlPlane
from tests.runtime.broker.conftest import Runtime, Seat

FRESH, GRACE = trust_pb2.TRUST_PHASE_FRESH, trust_pb2.TRUST_PHASE_GRACE
EXPIRED, REVOKED = trust_pb2.TRUST_PHASE_EXPIRED, trust_pb2.TRUST_PHASE_REVOKED
TakeSeat = Callable[[Runtime], object]


async def phase(runtime: Runtime) -> int:
    return (await runtime.broker.status()).trust_phase


async def outcome(seat: Seat) -> str:
    """Of a program made now: "OK", or the reason of its refusal."""
    answer = await seat.open(seat.sealed())
    if isinstance(answer, Rejected):
        return reasons_pb2.ErrorReason.Name(answer.reason).removeprefix("ERROR_REASON_")
    assert isinstance(answer, Run)
    return "OK"


async def test_withheld_for_25_hours_without_a_grace(runtime: Runtime, seat: Seat, plane: ControlPlane) -> None:
    plane.clock.pass_ms(25 * HOUR_MS)
    assert await phase(runtime) == EXPIRED
    assert await refused_everywhere(seat) == {"TRUST_EXPIRED"}


async def refused_everywhere(seat: Seat) -> set[str]:
    """Programs of a Hello of now, and kernels."""
    await seat.attach_again()
    with pytest.raises(BrokerError) as refused:
        await seat.runtime.broker.kernel_started(seat.handle, "python3")
    return {await outcome(seat), reasons_pb2.ErrorReason.Name(refused.value.reason).removeprefix("ERROR_REASON_")}


async def test_withheld_for_25_hours_with_a_grace_of_two(runtime: Runtime, seat: Seat, plane: ControlPlane) -> None:
    """It goes on, and each receipt of that time says so; after 26 hours it is over."""
    await runtime.broker.accept_trust([], plane.trust_state(grace_ms=2 * HOUR_MS))
    plane.clock.pass_ms(25 * HOUR_MS)
    await seat.attach_again()
    assert (await phase(runtime), await outcome(seat)) == (GRACE, "OK")
    started = await seat.run()
    await runtime.broker.run_ended(RunEnd(started.nonce, receipt_pb2.RUN_STATUS_OK, 0, bytes(32), False))
    plane.clock.pass_ms(HOUR_MS)
    assert (await phase(runtime), await outcome(seat)) == (EXPIRED, "TRUST_EXPIRED")
    said = {(receipt.type, receipt.trust_phase) for receipt in await runtime.receipts() if receipt.nonce.seq}
    assert said == {(receipt_pb2.RECEIPT_TYPE_START, GRACE), (receipt_pb2.RECEIPT_TYPE_END, GRACE), (receipt_pb2.RECEIPT_TYPE_REJECT, EXPIRED)}


async def test_what_waited_for_longer_than_trust_lasted_does_not_start(seat: Seat, plane: ControlPlane) -> None:
    plane.clock.pass_ms(24 * HOUR_MS - MINUTE_MS)
    await seat.attach_again()
    opened = await seat.open(seat.sealed())
    assert isinstance(opened, Run)
    plane.clock.pass_ms(MINUTE_MS)
    with pytest.raises(BrokerError) as refused:
        await seat.runtime.broker.run_started(opened.nonce)
    assert refused.value.reason == reasons_pb2.ERROR_REASON_TRUST_EXPIRED


async def test_a_later_trust_state_takes_the_grace_away(runtime: Runtime, plane: ControlPlane) -> None:
    await runtime.broker.accept_trust([], plane.trust_state(grace_ms=72 * HOUR_MS))
    await runtime.broker.accept_trust([], plane.trust_state())
    plane.clock.pass_ms(24 * HOUR_MS)
    assert await phase(runtime) == EXPIRED


async def test_an_older_trust_state_with_a_longer_grace(runtime: Runtime, plane: ControlPlane) -> None:
    longer = plane.trust_state(grace_ms=72 * HOUR_MS)
    await runtime.broker.accept_trust([], plane.trust_state(grace_ms=HOUR_MS))
    with pytest.raises(BrokerError) as refused:
        await runtime.broker.accept_trust([], longer)
    assert refused.value.reason == reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED
    plane.clock.pass_ms(25 * HOUR_MS)
    assert await phase(runtime) == EXPIRED


@pytest.mark.parametrize("grace_ms", [-1, 72 * HOUR_MS + 1])
async def test_a_grace_that_nobody_may_set(runtime: Runtime, plane: ControlPlane, grace_ms: int) -> None:
    with pytest.raises(BrokerError) as refused:
        await runtime.broker.accept_trust([], plane.trust_state(grace_ms=grace_ms))
    assert refused.value.reason == reasons_pb2.ERROR_REASON_OPEN_FAILED


async def test_no_grace_after_a_revocation(runtime: Runtime, seat: Seat, plane: ControlPlane) -> None:
    await runtime.broker.accept_trust([], plane.trust_state(grace_ms=2 * HOUR_MS, runtime_status=trust_pb2.RUNTIME_STATUS_REVOKED))
    assert (await phase(runtime), await outcome(seat)) == (REVOKED, "RUNTIME_REVOKED")
    plane.clock.pass_ms(25 * HOUR_MS)
    assert await phase(runtime) == REVOKED
    await runtime.restart()
    assert await phase(runtime) == REVOKED


async def test_no_trust_state_lifts_a_revocation(runtime: Runtime, plane: ControlPlane) -> None:
    """The record may have another identity by now, and trust states name the record."""
    await runtime.broker.accept_trust([], plane.trust_state(runtime_status=trust_pb2.RUNTIME_STATUS_REVOKED))
    with pytest.raises(BrokerError) as refused:
        await runtime.broker.accept_trust([], plane.trust_state())
    assert refused.value.reason == reasons_pb2.ERROR_REASON_RUNTIME_REVOKED


async def test_a_trust_state_that_revokes_the_runtimes_own_key(runtime: Runtime, seat: Seat, plane: ControlPlane) -> None:
    own = runtime.broker._identity.key_id  # type: ignore[attr-defined]
    await runtime.broker.accept_trust([], plane.trust_state(revoked_key_ids=[own]))
    assert (await phase(runtime), await outcome(seat)) == (REVOKED, "RUNTIME_REVOKED")


async def test_credentials_for_a_removed_runtime(runtime: Runtime, seat: Seat, plane: ControlPlane) -> None:
    """Those that it had are gone from its disk, and new ones are not taken."""
    await seat.give_bundle(1)
    on_disk = runtime.home / "var" / "broker" / "bundle"
    assert on_disk.exists()
    await runtime.broker.accept_trust([], plane.trust_state(runtime_status=trust_pb2.RUNTIME_STATUS_REVOKED))
    assert not on_disk.exists()
    with pytest.raises(BrokerError) as refused:
        await seat.give_bundle(2)
    assert refused.value.reason == reasons_pb2.ERROR_REASON_RUNTIME_REVOKED


async def test_a_clock_set_back_prolongs_nothing(runtime: Runtime, plane: ControlPlane) -> None:
    plane.clock.pass_ms(20 * HOUR_MS)
    plane.clock.now_ms -= 20 * HOUR_MS
    plane.clock.pass_ms(4 * HOUR_MS)
    assert await phase(runtime) == EXPIRED


async def test_a_clock_set_back_between_two_boots(runtime: Runtime, plane: ControlPlane) -> None:
    """How long the runtime was down is not known, so nothing is until the clock is right again, or a newer trust state comes."""
    plane.clock.pass_ms(20 * HOUR_MS)
    await runtime.broker.status()
    runtime.broker._watch.look()  # type: ignore[attr-defined]
    plane.clock.now_ms -= 10 * HOUR_MS
    await runtime.restart()
    assert await phase(runtime) == EXPIRED
    plane.clock.now_ms += 10 * HOUR_MS
    assert await phase(runtime) == FRESH
    plane.clock.now_ms -= 10 * HOUR_MS
    await runtime.broker.accept_trust([], plane.trust_state())
    assert await phase(runtime) == FRESH


async def test_a_clock_that_was_ahead_once(runtime: Runtime, plane: ControlPlane) -> None:
    """It ends the trust of then, and a newer trust state is taken all the same."""
    plane.clock.now_ms += 365 * 24 * HOUR_MS
    assert await phase(runtime) == EXPIRED
    plane.clock.now_ms -= 365 * 24 * HOUR_MS
    assert await phase(runtime) == EXPIRED
    await runtime.broker.accept_trust([], plane.trust_state())
    assert await phase(runtime) == FRESH


async def test_a_new_boot_in_the_grace(runtime: Runtime, plane: ControlPlane) -> None:
    await runtime.broker.accept_trust([], plane.trust_state(grace_ms=2 * HOUR_MS))
    plane.clock.pass_ms(25 * HOUR_MS)
    await runtime.restart()
    assert await phase(runtime) == GRACE
    plane.clock.pass_ms(HOUR_MS)
    assert await phase(runtime) == EXPIRED
