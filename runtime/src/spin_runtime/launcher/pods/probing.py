"""Running the probe in a pod as kernels run, beside another one that it must not reach."""

import asyncio
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from spin_runtime.launcher.folders import BROKER_SOCKET, Folders
from spin_runtime.launcher.machine import probes_folders
from spin_runtime.launcher.pods import examine, line, spec
from spin_runtime.launcher.pods.cluster import Cluster, ClusterGone, ClusterRefused
from spin_runtime.launcher.pods.running import NotStarted, removed, started, user_of
from spin_runtime.launcher.rules import EGRESS_NONE, Rules, Start, Unable

SECONDS, MOST_SAID = 90.0, 1 << 18
# Until a policy that was made counts; from then on it counts for every pod before it starts, which Kubernetes asks of plugins.
ENFORCED_WITHIN_S = 15.0
INSIDE = "spin_runtime.launcher.pods.inside"
FILES = ("launcher/probe.py", "launcher/image.py", "launcher/pods/inside.py")
WAITS = ["python3", "-I", "-c", "import time; time.sleep(3600)"]


async def probed(cluster: Cluster, rules: Rules, folders: Folders, given: spec.Given, seccomp: bytes) -> tuple[Mapping[str, Any], str]:
    """The image's kernels and its Python. Raises Unable."""
    with _kernel(rules, folders, given, spec.FREE) as (free, stderr):
        try:
            target = await started(cluster, rules, given, _doing(free, WAITS), seccomp, stderr)
            try:
                address = str((await cluster.pod(free.name)).status.pod_ip)
                return await _tried(cluster, rules, folders, given, seccomp, address)
            finally:
                await target.close()
                await removed(cluster, free.name)
        except (ClusterGone, ClusterRefused, NotStarted, line.LineFailed) as error:
            raise Unable(f"a pod could not be started: {error}") from error


async def _tried(cluster: Cluster, rules: Rules, folders: Folders, given: spec.Given, seccomp: bytes, address: str) -> tuple[Mapping[str, Any], str]:
    with _kernel(rules, folders, given, spec.CLOSED) as (closed, stderr), socket.socket(socket.AF_UNIX) as broker:
        box = closed.start.box
        broker.bind(f"{box}/broker")
        broker.listen()
        targets = {"host": address, "port": spec.PORT, "seconds": ENFORCED_WITHIN_S, "broker": f"{box}/{BROKER_SOCKET}"}
        kernel = _doing(closed, ["python3", "-P", "-m", INSIDE, json.dumps(targets)])
        found = await started(cluster, rules, given, kernel, seccomp, stderr)
        try:
            async with asyncio.timeout(SECONDS):
                await found.ask("listen", BROKER_SOCKET)
                found.lead(BROKER_SOCKET, f"{box}/broker")
                await found.ended.wait()
        except TimeoutError:
            raise Unable(f"a probe in a pod did not end within {SECONDS:.0f} s") from None
        finally:
            await found.close()
            await removed(cluster, kernel.name)
        return examine.read(rules, os.pread(stderr, MOST_SAID, 0).decode(errors="replace"))


@contextmanager
def _kernel(rules: Rules, folders: Folders, given: spec.Given, reach: str) -> Iterator[tuple[spec.Kernel, int]]:
    """With its stderr. It has nothing to do yet."""
    with probes_folders(rules, folders) as (work, box), (box / "stderr").open("w+b") as stderr:
        start = Start([], {"PYTHONPATH": f"{spec.PROGRAM}/program"}, str(work), str(box), EGRESS_NONE)
        yield spec.Kernel(spec.name_of(given), start, user_of(rules, folders, start, ()), reach, "", FILES), stderr.fileno()


def _doing(kernel: spec.Kernel, argv: Sequence[str]) -> spec.Kernel:
    return replace(kernel, start=replace(kernel.start, argv=argv))
