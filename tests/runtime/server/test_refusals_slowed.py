"""A client that sends what is refused is slowed, and each refusal has its receipt."""

import asyncio

from spin_runtime.server.pace import REFUSED_AT_ONCE, REFUSED_PER_S, Pace
from spinapis.envelope.v1 import receipt_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.runtime_rig import Rig, Seat

SENT = REFUSED_AT_ONCE + 15


async def rejected(seat: Seat, count: int) -> None:
    for _ in range(count):
        await seat.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_REJECTED)


def rejects(seat: Seat) -> int:
    return len({receipt.receipt_seq for receipt in seat.receipts if receipt.type == receipt_pb2.RECEIPT_TYPE_REJECT})


async def test_replays_wait_for_each_other_and_none_is_dropped(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        sealed, nonce = seat.sealed("1")
        await seat.send(sealed=sealed)
        await seat.ended(nonce)
        clock = asyncio.get_running_loop().time
        begin = clock()
        for _ in range(SENT):
            await seat.send(sealed=sealed)
        await rejected(seat, SENT)
        # More time than that is what a busy machine takes; less would be no limit.
        assert clock() - begin > (SENT - 2 - REFUSED_AT_ONCE) / REFUSED_PER_S
        while rejects(seat) < SENT:
            await seat.next()
        assert rejects(seat) == SENT
        assert await seat.printed("print('heard')") == "heard\n"


async def test_bytes_that_nobody_can_open_are_slowed_too(rig: Rig) -> None:
    async with rig.attached() as seat:
        clock = asyncio.get_running_loop().time
        begin = clock()
        for _ in range(SENT):
            await seat.send(sealed=b"junk")
        for _ in range(SENT):
            await seat.until(lambda frame: frame.WhichOneof("body") == "error")
        assert clock() - begin > (SENT - 2 - REFUSED_AT_ONCE) / REFUSED_PER_S


def test_a_pause_makes_room_again() -> None:
    now_s = 100.0
    pace = Pace(lambda: now_s, at_once=3, per_s=2)
    assert [pace.refused() for _ in range(5)] == [0, 0, 0, 0.5, 1]
    now_s += 1000
    assert [pace.refused() for _ in range(4)] == [0, 0, 0, 0.5]
