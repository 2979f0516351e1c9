"""A browser that does not read costs the runtime little, and the others nothing."""

import asyncio
import gc
import os

import psutil

from spinapis.envelope.v1 import receipt_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.runtime_rig import Rig

# 160 MB in messages of 64 kB.
FLOOD = """
from IPython.display import display
for _ in range(2500):
    display({"text/plain": "f" * 64_000}, raw=True)
"""


async def test_a_client_that_never_reads_costs_less_than_64_mb(rig: Rig) -> None:
    async with rig.attached() as runner, rig.attached(runner.person, resume=None) as slow:
        await runner.start_kernel()
        await slow.send(resume=f.Resume(position=0))
        # It stops reading here: aiohttp's client reads ahead by little and then pauses its socket.
        gc.collect()
        before = psutil.Process(os.getpid()).memory_info().rss
        peak = before
        nonce = await runner.submit(FLOOD)
        while True:
            frame = await runner.next()
            runner.stream.clear()  # what this test itself keeps is not the runtime's
            peak = max(peak, psutil.Process(os.getpid()).memory_info().rss)
            if frame.run_state.nonce == nonce and frame.run_state.phase == f.RUN_PHASE_ENDED:
                break
        assert frame.run_state.status == receipt_pb2.RUN_STATUS_OK
        assert peak - before < 64 << 20
        # And when it reads after all, everything is there.
        size = 0
        async with asyncio.timeout(60):
            while not (late := await slow.next()).run_state.output_digest:
                size += late.ByteSize()
                slow.stream.clear()
        assert size > 160_000_000
