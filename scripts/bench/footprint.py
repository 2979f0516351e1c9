"""Memory of the idle platform: proportional set size, so that pages shared between processes count once."""

import time

import psutil

from scripts.bench.figures import Figure, alone
from scripts.platform.apart import RunningPlatform

SETTLE_S = 5.0
MIB = 1 << 20


def measure(running: RunningPlatform) -> dict[str, Figure]:
    time.sleep(SETTLE_S)
    parts = {name: running.child(name) for name in ("services", "gateway", "runtime")}
    sizes = {name: _pss(process) for name, process in parts.items()}
    kernels = sum(_pss(child) for child in parts["runtime"].children(recursive=True))
    whole = sum(sizes.values()) + kernels
    detail = ", ".join(f"{name} {size / MIB:.0f}" for name, size in (*sizes.items(), ("kernels", kernels)))
    return {
        "idle_platform_memory": alone(whole / MIB, "MiB", "≤ 400", note=detail),
        "idle_runtime_memory": alone(sizes["runtime"] / MIB, "MiB, server and broker", "≤ 120"),
    }


def _pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)
