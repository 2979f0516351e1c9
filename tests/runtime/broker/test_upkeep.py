"""The broker's upkeep goes on, whatever fails in a round of it: nobody else looks at trust, keys and forgotten runs."""

import asyncio

import pytest

from spin_runtime.broker.api import RunEnd
from spin_runtime.broker.runs import GRACE_MS
from spinapis.envelope.v1 import receipt_pb2, trust_pb2
from tests.fakes.control_plane import HOUR_MS, ControlPlane
from tests.runtime.broker.test_operations_refused import entry

LOST = receipt_pb2.RUN_STATUS_LOST


async def test_a_server_that_ends_a_run_while_another_is_found_forgotten_is_believed(runtime, seat) -> None:
    first, second = await seat.run(), await seat.run()
    await runtime.broker.kernel_ended(seat.kernel.kernel_epoch, "stopped")
    runtime.plane.clock.pass_ms(GRACE_MS)
    end = RunEnd(second.nonce, receipt_pb2.RUN_STATUS_INTERRUPTED, 0, bytes(32), False)
    await asyncio.gather(runtime.broker._upkeep.once(), runtime.broker.run_ended(end))
    ends = [receipt for receipt in await runtime.receipts() if receipt.type == receipt_pb2.RECEIPT_TYPE_END]
    assert [(end.nonce, end.status) for end in ends] == [(first.nonce, LOST), (second.nonce, receipt_pb2.RUN_STATUS_INTERRUPTED)]


async def test_a_disk_that_keeps_an_expired_bundle_does_not_end_the_upkeep(
    seat, take_seat, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seat.give_bundle(1, entry())
    await seat.runtime.restart()
    monkeypatch.setattr("spin_runtime.broker.upkeep.SECONDS", 0.01)
    await take_seat(seat.runtime)
    waiting = asyncio.create_task(seat.runtime.broker.wait_trust(trust_pb2.TRUST_PHASE_FRESH))
    await asyncio.sleep(0)
    file = seat.runtime.home / "var" / "broker" / "bundle"
    file.unlink()
    # What cannot be unlinked.
    file.mkdir()
    plane.clock.now_ms += 7 * 24 * HOUR_MS
    assert (await asyncio.wait_for(waiting, 5)).trust_phase == trust_pb2.TRUST_PHASE_EXPIRED
    await seat.runtime.broker.close()
