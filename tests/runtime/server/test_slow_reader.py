"""A browser that does not read costs the runtime little, and the others nothing."""

import asyncio
from pathlib import Path

import psutil

from spinapis.envelope.v1 import receipt_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.runtime_rig import spawned

# 160 MB in messages of 64 kB.
FLOOD = """
from IPython.display import display
for _ in range(2500):
    display({"text/plain": "f" * 64_000}, raw=True)
"""


async def test_a_client_that_never_reads_costs_less_than_64_mb(tmp_path: Path) -> None:
    async with spawned(tmp_path) as runtime, runtime.attached() as runner, runtime.attached(runner.person, resume=None) as slow:
        process = psutil.Process(runtime.process.pid)
        await runner.start_kernel()
        await slow.send(resume=f.Resume(position=0))
        # It stops reading here: aiohttp's client reads ahead by little and then pauses its socket.
        before = peak = process.memory_info().rss
        nonce = await runner.submit(FLOOD)
        while True:
            frame = await runner.next()
            runner.stream.clear()
            peak = max(peak, process.memory_info().rss)
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
