"""Calls through Envoy: an authenticated unary call, and CompileCell, which seals."""

import time
from collections.abc import Awaitable, Callable

from scripts.bench.cells import cell
from scripts.bench.figures import Figure, alone, median, quantile
from spin_client.sdk import Platform, RuntimeSession
from spinapis.auth.v1 import sign_in_pb2

ROUNDS, WARM_UP = 300, 20


async def measure(platform: Platform, session: RuntimeSession) -> dict[str, Figure]:
    who = await _timed(lambda: platform.sign_in.GetCurrentUser(sign_in_pb2.GetCurrentUserRequest()))
    compile_ = await _timed(lambda: session.prepare(cell("x=1")))
    return {
        "unary_call_p50": alone(median(who), "ms, authenticated, through Envoy", "≤ 2"),
        "compile_cell_p50": alone(median(compile_), "ms, compile and seal through Envoy", "≤ 6"),
        "compile_cell_p99": alone(quantile(compile_, 0.99), "ms, the same", "≤ 20"),
    }


async def _timed(call: Callable[[], Awaitable[object]]) -> list[float]:
    """Milliseconds of each call, one after another."""
    samples = []
    for number in range(WARM_UP + ROUNDS):
        begin = time.perf_counter()
        await call()
        if number >= WARM_UP:
            samples.append((time.perf_counter() - begin) * 1000)
    return samples
