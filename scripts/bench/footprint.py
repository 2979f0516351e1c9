"""Memory, as proportional set size, so that pages shared between processes count once; and how soon the runtime is there again."""

import asyncio
import time
from contextlib import AsyncExitStack

import aiohttp
import psutil

from scripts.bench import cells
from scripts.bench.figures import Figure, alone, beside, median
from scripts.bench.jupyter_peers import bare_kernel, bare_round_trip
from scripts.platform import sample
from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, RuntimeSession

SETTLE_S = 4.0
MIB, GIB = 1 << 20, 1 << 30
KERNELS = 8
STARTS = 3
POLL_S = 0.005
START_TIMEOUT_S = 30.0


async def measure(running: RunningPlatform, platform: Platform, workspace_id: str) -> dict[str, Figure]:
    """After the sample notebook ran, with its kernel stopped: what remains is the spare."""
    book = await sample.notebook(platform, workspace_id)
    async with await RuntimeSession.open(platform, workspace_id, book.id) as session:
        await session.stop_kernel()
    await asyncio.sleep(SETTLE_S)
    parts = {name: running.child(name) for name in ("services", "gateway", "runtime")}
    sizes = {name: _pss(process) for name, process in parts.items()}
    sizes["runtime"] += sum(_pss(running.child(name)) for name in ("broker", "launcher", "server"))
    sizes["spare kernel"] = _below(running.child("launcher"))
    detail = ", ".join(f"{name} {size / MIB:.0f}" for name, size in sizes.items())
    return {
        "idle_platform_memory": alone(sum(sizes.values()) / MIB, "MiB, proportional", "≤ 400", note=detail),
        "idle_runtime_memory": alone(sizes["runtime"] / MIB, "MiB, supervisor, broker, launcher and server", "≤ 120"),
    }


async def kernels_per_gib(running: RunningPlatform, platform: Platform, workspace_id: str) -> dict[str, Figure]:
    """Of kernels that ran one cell each; the spare is the runtime's and not theirs."""
    launcher = running.child("launcher")
    spare = _below(launcher)
    async with cells.many_sessions(platform, workspace_id, KERNELS) as sessions:
        for session in sessions:
            await cells.click(session)
        await asyncio.sleep(SETTLE_S)
        ours = (_below(launcher) - spare) / KERNELS
    await asyncio.sleep(SETTLE_S)
    before = _below(psutil.Process())
    async with AsyncExitStack() as stack:
        for _ in range(KERNELS):
            await bare_round_trip(await stack.enter_async_context(bare_kernel()), cells.CODE)
        theirs = (_below(psutil.Process()) - before) / KERNELS
    return {"kernels_per_gib": beside(GIB / ours, GIB / theirs, "kernels in a GiB / ipykernel as it comes", "≥ 2")}


async def runtime_starts(running: RunningPlatform) -> dict[str, Figure]:
    """From the moment at which the platform's supervisor starts its process until it answers."""
    return {"runtime_start": alone(median([await _started_again(running) for _ in range(STARTS)]), "s, the runtime until it answers", "≤ 1.0")}


async def _started_again(running: RunningPlatform) -> float:
    ended = running.child("runtime")
    ended.terminate()
    async with asyncio.timeout(START_TIMEOUT_S), aiohttp.ClientSession() as http:
        while not _another(running, ended):  # noqa: ASYNC110 - a process of somebody else tells nobody
            await asyncio.sleep(POLL_S)
        begin = time.perf_counter()
        while not await _answers(http, f"http://127.0.0.1:{running.settings.runtime_port}/healthz"):  # noqa: ASYNC110 - nor does it say when it answers
            await asyncio.sleep(POLL_S)
        return time.perf_counter() - begin


def _another(running: RunningPlatform, ended: psutil.Process) -> bool:
    try:
        return running.child("runtime") != ended
    except (LookupError, psutil.NoSuchProcess):
        return False


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as reply:
            return reply.status == 200
    except aiohttp.ClientConnectionError:
        return False


def _below(process: psutil.Process) -> int:
    return sum(_pss(child) for child in process.children(recursive=True))


def _pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)
