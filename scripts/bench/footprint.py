"""Memory of the idle platform: proportional set size, so that pages shared between processes count once."""

import asyncio

import psutil

from scripts.bench.figures import Figure, alone
from scripts.platform import sample
from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, RuntimeSession

SETTLE_S = 4.0
MIB = 1 << 20


async def measure(running: RunningPlatform, platform: Platform, workspace_id: str) -> dict[str, Figure]:
    """After the sample notebook ran, with its kernel stopped: what remains is the spare."""
    book = await sample.notebook(platform, workspace_id)
    async with await RuntimeSession.open(platform, workspace_id, book.id) as session:
        await session.stop_kernel()
    await asyncio.sleep(SETTLE_S)
    parts = {name: running.child(name) for name in ("services", "gateway", "runtime")}
    sizes = {name: _pss(process) for name, process in parts.items()}
    sizes["runtime"] += sum(_pss(running.child(name)) for name in ("broker", "launcher", "server"))
    sizes["spare kernel"] = sum(_pss(kernel) for kernel in running.child("launcher").children(recursive=True))
    detail = ", ".join(f"{name} {size / MIB:.0f}" for name, size in sizes.items())
    return {
        "idle_platform_memory": alone(sum(sizes.values()) / MIB, "MiB, proportional", "≤ 400", note=detail),
        "idle_runtime_memory": alone(sizes["runtime"] / MIB, "MiB, supervisor, broker, launcher and server", "≤ 120"),
    }


def _pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)
