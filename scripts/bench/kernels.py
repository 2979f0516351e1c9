"""Starting kernels, by their isolation: from nothing, and handed out as the spare that waits. The peer is jupyter_client, which starts them bare.

Containers have figures where DOCKER_HOST leads to an engine that has the image SPIN_KERNEL_IMAGE, as for a runtime.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager

from scripts.bench.figures import Figure, alone, beside, median
from spin_runtime.egress.policy import Cap
from spin_runtime.kernels.pool import JupyterPool
from spin_runtime.kernels.rules import Isolation
from spin_runtime.launcher.client import IsolationUnavailable
from spin_runtime.launcher.rules import CONTAINER, EGRESS, PROCESS, SANDBOX, EngineRules
from spin_runtime.settings import DOCKER
from tests.fakes.launched import LaunchedPool

ROUNDS = 5
MS = 1000


async def measure() -> dict[str, Figure]:
    bare = median([await _bare() for _ in range(ROUNDS)])
    figures: dict[str, Figure] = {}
    for name, isolation in _isolations():
        try:
            cold, warm = await _of(isolation)
        except IsolationUnavailable as error:
            # What this machine cannot do is told, and has no figure.
            print(f"bench: no figures for {name}: {error}")
            continue
        figures[f"kernel_cold_{name}"] = beside(cold * MS, bare * MS, "ms, a kernel from nothing / jupyter_client's wait_for_ready")
        figures[f"kernel_spare_{name}"] = alone(warm * MS, "ms, a spare handed out", "≤ 6")
    return figures


def _isolations() -> Iterator[tuple[str, Isolation]]:
    yield PROCESS, Isolation()
    for egress in EGRESS:
        yield f"{SANDBOX}_{egress}", Isolation(SANDBOX, Cap(egress))
    image = os.environ.get("SPIN_KERNEL_IMAGE")
    if not image:
        print("bench: no figures for containers: name their image in SPIN_KERNEL_IMAGE, and the engine's socket in DOCKER_HOST")
        return
    engine = EngineRules(os.environ.get("DOCKER_HOST", DOCKER), image, "", 0.0)
    for egress in EGRESS:
        yield f"{CONTAINER}_{egress}", Isolation(CONTAINER, Cap(egress), engine=engine)


async def _of(isolation: Isolation) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="spin-bench-kernels-") as folder:
        cold, warm = (Path(folder) / name / "work" for name in ("cold", "warm"))
        return (
            await _median_of(LaunchedPool(os.environ, cold, 0, isolation), cold, wait_for_spare=False),
            await _median_of(LaunchedPool(os.environ, warm, 1, isolation), warm, wait_for_spare=True),
        )


async def _median_of(pool: JupyterPool, work: Path, *, wait_for_spare: bool) -> float:
    try:
        await pool.begin()
        pool.start()
        return median([await _taken(pool, work / f"session-{number}", wait_for_spare) for number in range(ROUNDS)])
    finally:
        await pool.close()


async def _taken(pool: JupyterPool, work: Path, wait_for_spare: bool) -> float:
    async with asyncio.timeout(60):
        while wait_for_spare and not pool.spares:  # noqa: ASYNC110 - the pool tells nobody, and here nothing hangs on the moment
            await asyncio.sleep(0.05)
    begin = time.perf_counter()
    kernel = await pool.take("", work)
    seconds = time.perf_counter() - begin
    await kernel.kill()
    await kernel.stop()
    return seconds


async def _bare() -> float:
    manager = AsyncKernelManager(kernel_name="python3")
    begin = time.perf_counter()
    await manager.start_kernel(stderr=asyncio.subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        return time.perf_counter() - begin
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
