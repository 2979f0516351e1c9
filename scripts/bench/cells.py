"""Cell round trips: the sealed path of a real platform beside a bare jupyter_client and Jupyter Server.

"sealed" is what the runtime adds: the program is compiled and sealed beforehand, and time runs from sending it until its end is there. "click to
result" has the compilation in it. Ours and the peers' alternate in the same run, so that a busy machine slows all of them.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scripts.bench.figures import Figure, alone, beside, median, quantile
from scripts.bench.jupyter_peers import bare_kernel, bare_round_trip, jupyter_server
from spin_client.sdk import Platform, Run, RuntimeSession
from spinapis.workspace.v1 import notebooks_pb2

ROUNDS, CLICKS, SERVED, WARM_UP = 200, 200, 60, 20
CODE = "x=1"
CROWD, CROWD_ROUNDS = 8, 30
FIRST_CELLS = 10
# A spare is made two seconds after the last one was taken.
SPARE_AGAIN_S = 5.0
MS = 1000


def cell(source: str) -> notebooks_pb2.Cell:
    return notebooks_pb2.Cell(id="bench", cell_type="code", source=source)


async def round_trips(session: RuntimeSession) -> dict[str, Figure]:
    async with bare_kernel() as bare, bare_kernel(tuned=True) as tuned:
        for _ in range(WARM_UP):
            await bare_round_trip(bare, CODE)
            await bare_round_trip(tuned, CODE)
            await click(session)
        sealed, direct, same = [], [], []
        for _ in range(ROUNDS):
            run = await session.prepare(cell(CODE))
            # What the last run left to carry to the platform is carried before, not inside, the next measurement.
            await asyncio.sleep(0.005)
            sealed.append(await sent(session, run))
            direct.append(await bare_round_trip(bare, CODE))
            same.append(await bare_round_trip(tuned, CODE))
    return {
        "cell_sealed_p50": beside(
            median(sealed) * MS, median(direct) * MS, "ms, sealed runtime path / bare jupyter_client, ipykernel as it comes", "≤ 0.80"
        ),
        "cell_sealed_p99": beside(quantile(sealed, 0.99) * MS, quantile(direct, 0.99) * MS, "ms, the same"),
        "cell_sealed_same_kernel_p50": beside(
            median(sealed) * MS, median(same) * MS, "ms, the same, our kernel program and options on both sides", "≤ 1.15"
        ),
    }


async def clicks(session: RuntimeSession) -> dict[str, Figure]:
    async with jupyter_server() as (nagle,), jupyter_server(nagle=False) as (prompt,):
        ours, served, promptly = [], [], []
        for number in range(CLICKS):
            ours.append(await click(session))
            if number < SERVED:
                served.append((await nagle.run(CODE)).seconds)
                promptly.append((await prompt.run(CODE)).seconds)
    # The first few warm everything up.
    ours, served, promptly = ours[WARM_UP:], served[WARM_UP:], promptly[WARM_UP:]
    unit = "ms, click to result / Jupyter Server's WebSocket"
    return {
        "cell_click_to_result_p50": alone(median(ours) * MS, "ms, compile through Envoy, seal, run", "≤ 12"),
        "cell_click_to_result_p99": alone(quantile(ours, 0.99) * MS, "ms, the same", "≤ 40"),
        "cell_over_jupyter_server": beside(
            median(ours) * MS, median(served) * MS, unit, note="cells back to back, where Jupyter Server waits on Nagle"
        ),
        "cell_over_jupyter_server_nodelay": beside(
            median(ours) * MS, median(promptly) * MS, unit, note="the same with TCP_NODELAY set in Jupyter Server"
        ),
    }


async def crowd(platform: Platform, workspace_id: str) -> dict[str, Figure]:
    """Eight kernels at once; ours run programs that were sealed beforehand, as fast as each kernel follows."""
    async with many_sessions(platform, workspace_id, CROWD) as sessions:
        await asyncio.gather(*(click(session) for session in sessions))
        prepared = [(session, [await session.prepare(cell(CODE)) for _ in range(CROWD_ROUNDS)]) for session in sessions]
        begin = time.perf_counter()
        await asyncio.gather(*(_sent_in_turn(session, runs) for session, runs in prepared))
        ours = CROWD * CROWD_ROUNDS / (time.perf_counter() - begin)
    async with jupyter_server(CROWD, nagle=False) as kernels:
        await asyncio.gather(*(kernel.run(CODE) for kernel in kernels))
        begin = time.perf_counter()

        async def in_turn(number: int) -> None:
            for _ in range(CROWD_ROUNDS):
                await kernels[number].run(CODE)

        await asyncio.gather(*(in_turn(number) for number in range(CROWD)))
        theirs = CROWD * CROWD_ROUNDS / (time.perf_counter() - begin)
    return {"eight_kernels": beside(ours, theirs, "cells/s, sealed / Jupyter Server with TCP_NODELAY, 8 kernels at once", "≥ 2")}


async def first_cells(platform: Platform, workspace_id: str) -> dict[str, Figure]:
    """A new session's first cell after attaching: its kernel is the spare. The click includes taking it and the compilation."""
    taken, first, cold = [], [], []
    for _ in range(FIRST_CELLS):
        await asyncio.sleep(SPARE_AGAIN_S)
        async with many_sessions(platform, workspace_id, 1) as (session,):
            begin = time.perf_counter()
            await session.start_kernel()
            taken.append(time.perf_counter() - begin)
            await click(session)
            first.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        async with bare_kernel() as bare:
            await bare_round_trip(bare, CODE)
            cold.append(time.perf_counter() - begin)
    return {
        "spare_kernel": alone(median(taken) * MS, "ms, from attached to a kernel that is ready"),
        "first_cell": beside(
            median(first) * MS, median(cold) * MS, "ms, from attached to the first cell's result / jupyter_client from nothing", "≤ 30 ms"
        ),
    }


@asynccontextmanager
async def many_sessions(platform: Platform, workspace_id: str, count: int) -> AsyncIterator[list[RuntimeSession]]:
    """Sessions of new notebooks; their kernels end with them."""
    opened = []
    try:
        for _ in range(count):
            key = f"bench-{time.time_ns()}"
            create = notebooks_pb2.CreateNotebookRequest(workspace_id=workspace_id, idempotency_key=key, title="Bench")
            book = (await platform.notebooks.CreateNotebook(create)).notebook
            opened.append(await RuntimeSession.open(platform, workspace_id, book.id))
        yield opened
    finally:
        for session in opened:
            await session.end()
            await session.close()


async def sent(session: RuntimeSession, run: Run) -> float:
    """Seconds from sending a prepared run until its end is there."""
    begin = time.perf_counter()
    await session.submit(run)
    await ended(run)
    return time.perf_counter() - begin


async def click(session: RuntimeSession) -> float:
    begin = time.perf_counter()
    await ended(await session.start(cell(CODE)))
    return time.perf_counter() - begin


async def ended(run: Run) -> None:
    async with run:
        async for _ in run:
            pass


async def _sent_in_turn(session: RuntimeSession, runs: list[Run]) -> None:
    for run in runs:
        await sent(session, run)
