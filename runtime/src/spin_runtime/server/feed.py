"""What a connection is sent without asking again: the session's stream after Resume, and receipts.

Both are cursors over what is kept elsewhere, and go on when the socket took the last frame: a client that reads slowly holds nothing
but its own cursor.
"""

import asyncio

from spin_runtime.broker.api import Broker
from spin_runtime.server.wire import FrameSocket
from spin_runtime.session.journal import Journal, PositionUnknown
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

READ_BYTES = 256 << 10
RECEIPTS = 256
RECEIPTS_TOGETHER_S = 0.05


async def follow(socket: FrameSocket, journal: Journal, after: int) -> None:
    """Sends the stream after a position, Resumed when what was there is sent, then the rest as it comes."""
    target, cursor = journal.last, after or journal.first - 1
    resumed = False
    try:
        while True:
            for frame in await journal.read(cursor, READ_BYTES):
                cursor += 1
                await socket.send_bytes(frame)
                if not resumed and cursor >= target:
                    resumed = True
                    await socket.send(_resumed(cursor))
            if not resumed and cursor >= target:
                resumed = True
                await socket.send(_resumed(cursor))
            if cursor >= journal.last:
                await journal.wait(cursor)
                if journal.closed:
                    return
    except PositionUnknown:
        await socket.send_error(
            reasons_pb2.ERROR_REASON_POSITION_UNKNOWN,
            f"Position {cursor} was never written or is no longer kept: positions {journal.first} to {journal.last} are. Resume from 0.",
            first_position=str(journal.first),
            last_position=str(journal.last),
        )


async def carry_receipts(socket: FrameSocket, broker: Broker) -> None:
    """Hands the client every receipt that audit has not acknowledged, now and as they are written."""
    seq = 0
    while True:
        receipts = await broker.receipts_after(seq, RECEIPTS)
        if not receipts:
            await broker.wait_receipts(seq)
            # Nobody waits for a receipt: those of a few cells travel together, and out of the cells' way.
            await asyncio.sleep(RECEIPTS_TOGETHER_S)
            continue
        seq = receipts[-1][0]
        batch = frames_pb2.ReceiptBatch(receipts=[receipt for _, receipt in receipts])
        await socket.send(frames_pb2.RuntimeFrame(receipts=batch))


def _resumed(position: int) -> frames_pb2.RuntimeFrame:
    return frames_pb2.RuntimeFrame(resumed=frames_pb2.Resumed(position=position))
