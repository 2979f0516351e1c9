"""Cell round trips: the sealed path of a real platform beside a bare jupyter_client and Jupyter Server.

"sealed" is what the runtime adds: the program is compiled and sealed beforehand, and time runs from sending it until its end is there. "click to result" has the
compilation in it. "runtime" and "bare" alternate in the same run, so that a busy machine slows both.
"""

import asyncio
import time
from collections.abc import Sequence

from scripts.bench.figures import Figure, alone, beside, median, quantile
from scripts.bench.jupyter_peers import bare_kernel, bare_round_trip, jupyter_server
from spin_client.sdk import Kind, Output, Run, RuntimeSession
from spinapis.workspace.v1 import notebooks_pb2

ROUNDS, WARM_UP = 200, 20
CODE = "x=1"
LINES = 1_000_000
PRINTING = f"for i in range({LINES}): print('x' * 99)"


def cell(source: str) -> notebooks_pb2.Cell:
    return notebooks_pb2.Cell(id="bench", cell_type="code", source=source)


async def measure(session: RuntimeSession) -> dict[str, Figure]:
    await session.start_kernel("python3")
    figures = await _round_trips(session)
    return figures | await _output(session)


async def _round_trips(session: RuntimeSession) -> dict[str, Figure]:
    async with bare_kernel() as bare, jupyter_server() as server:
        for _ in range(WARM_UP):
            await bare_round_trip(bare, CODE)
            await server.run(CODE)
            await _click(session)
        sealed, ours, direct, served = [], [], [], []
        for _ in range(ROUNDS):
            sealed.append(await _sealed(session))
            direct.append(await bare_round_trip(bare, CODE))
        for _ in range(ROUNDS // 4):
            ours.append(await _click(session))
            served.append((await server.run(CODE))[0])
    ms = 1000
    return {
        "cell_sealed_p50": beside(median(sealed) * ms, median(direct) * ms, "ms, sealed runtime path / bare jupyter_client", "≤ 0.80"),
        "cell_sealed_p99": beside(quantile(sealed, 0.99) * ms, quantile(direct, 0.99) * ms, "ms, the same"),
        "cell_click_to_result_p50": alone(median(ours) * ms, "ms, compile through Envoy, seal, run", "≤ 12"),
        "cell_click_to_result_p99": alone(quantile(ours, 0.99) * ms, "ms, the same", "≤ 40"),
        "cell_over_jupyter_server": beside(
            median(ours) * ms,
            median(served) * ms,
            "ms, click to result / Jupyter Server's WebSocket",
            note="back to back, where Jupyter Server waits on Nagle",
        ),
    }


async def _sealed(session: RuntimeSession) -> float:
    run = await session.prepare(cell(CODE))
    begin = time.perf_counter()
    await session.submit(run)
    await _end(run)
    return time.perf_counter() - begin


async def _click(session: RuntimeSession) -> float:
    begin = time.perf_counter()
    await _end(await session.start(cell(CODE)))
    return time.perf_counter() - begin


async def _end(run: Run) -> Sequence[Output]:
    async with run:
        return [event async for event in run if isinstance(event, Output)]


async def _output(session: RuntimeSession) -> dict[str, Figure]:
    """A million printed lines, until the last is in the client's hands."""
    begin = time.perf_counter()
    outputs = await _end(await session.start(cell(PRINTING)))
    ours = time.perf_counter() - begin
    text = sum(len(output.content["text"]) for output in outputs if output.kind is Kind.STREAM)
    async with jupyter_server() as server:
        await server.run(CODE)
        theirs, their_text = await server.run(PRINTING)
    assert text == their_text == LINES * 100, f"output was lost: {text} of ours, {their_text} of the peer's"
    await asyncio.sleep(0)
    return {"million_lines": beside(LINES / ours / 1000, LINES / theirs / 1000, "thousand lines/s / Jupyter Server", "≥ 2.5")}
