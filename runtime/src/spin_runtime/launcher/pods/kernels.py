"""The kernels of one launcher, each a pod.

- A kernel's end is the end of its line: the agent tells it, or the pod is gone. Why, the cluster is asked.
- The line's end is the kernel's too, so that kernels end with this process, however it dies; what is left of their pods goes with the runtime's
  own pod, which owns them, and at the next start at the latest.
"""

import asyncio
import json
import os
import secrets
import signal as signals
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spin_runtime.launcher import driven, sockets
from spin_runtime.launcher.driven import MIB, Answer
from spin_runtime.launcher.folders import BROKER_SOCKET, CONNECTION, Folders
from spin_runtime.launcher.machine import seccomp_program
from spin_runtime.launcher.pods import examine, line, probing, running, spec
from spin_runtime.launcher.pods.cluster import Cluster, ClusterGone, ClusterRefused, configuration
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_SOCKET, Rules, Start, Unable, check_egress

POD_ENDED = "The kernel's pod ended: {}."
POD_GONE = "The kernel's pod is not reached any more."
KILLED_WITHIN_S = 5.0


@dataclass(kw_only=True)
class Kernel(driven.Kernel):
    name: str
    line: line.Line


class Pods(driven.Driver):
    def __init__(self, rules: Rules, folders: Folders) -> None:
        super().__init__(rules, folders)
        self._kernels: dict[str, Kernel] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._cluster: Cluster | None = None
        self._given: spec.Given | None = None
        self._seccomp = b""
        self._described: Answer = {}

    async def configure(self) -> None:
        """Finds out what the cluster gives. Raises Unable, ClusterRefused."""
        rules = spec.pods(self._rules)
        # The sandbox's own, whatever the node's RuntimeDefault lets through.
        self._seccomp = seccomp_program(internet=True)
        self._cluster = cluster = Cluster(await configuration(rules), examine.namespace_of(rules))
        try:
            self._given = await examine.given(cluster, self._rules)
            await examine.prepared(cluster, self._given)
            kernels, python = await probing.probed(cluster, self._rules, self._folders, self._given, self._seccomp)
        except ClusterGone as error:
            raise Unable(f"no cluster answers at {cluster.address}: {error}. Look at KUBECONFIG, or at the runtime's own network") from error
        mechanisms = _mechanisms(self._rules, self._given, cluster)
        self._described = {"mechanisms": mechanisms, "boxes": str(self._folders.boxes), "kernels": kernels, "python": python}

    async def describe(self) -> Answer:
        return self._described

    async def enforce(self, egress: str) -> Answer:
        """That policies are enforced was tried at the start."""
        check_egress(self._rules, egress)
        return {}

    async def start(self, wanted: Mapping[str, Any], stderr: int) -> tuple[Answer, int]:
        start = self._folders.start_of(wanted)
        await self.enforce(start.egress)
        assert self._cluster is not None and self._given is not None
        connection = self._folders.read(start, CONNECTION)
        ip, ports = _listens(connection)
        user = running.user_of(self._rules, self._folders, start, [kernel.uid for kernel in self._kernels.values()])
        wanted_pod = spec.Kernel(spec.name_of(self._given), start, user, spec.reach_of(start.egress), connection)
        found = await running.started(self._cluster, self._rules, self._given, wanted_pod, self._seccomp, stderr)
        try:
            await _opened(found, start, ip, ports)
        except BaseException:
            await found.close()
            await running.removed(self._cluster, wanted_pod.name)
            raise
        reading, writing = os.pipe()
        kernel, name = Kernel(name=wanted_pod.name, start=start, uid=user[0], line=found, end=writing), secrets.token_hex(8)
        self._kernels[name] = kernel
        self._watches[name] = asyncio.create_task(driven.watch(kernel, self._end_of))
        return {"kernel": name, "pid": found.pid}, reading

    async def _end_of(self, kernel: Kernel) -> str:
        assert self._cluster is not None
        await kernel.line.ended.wait()
        word, over = kernel.line.last_word, driven.out_of_memory(self._rules.memory_bytes)
        if word:
            return over if word.get("oom") is True and word.get("ended") == -9 else ""
        for_memory, said = await running.end_of(self._cluster, kernel.name)
        return over if for_memory else POD_ENDED.format(said) if said else POD_GONE

    async def signal(self, name: str, number: int) -> Answer:
        kernel = self._kernels[name]
        # One that has ended needs no signal.
        if not kernel.line.ended.is_set():
            await (self._killed(kernel) if number == signals.SIGKILL else kernel.line.ask("signal", number))
        return {}

    async def _killed(self, kernel: Kernel) -> None:
        """Whatever its agent does: code in the kernel may have its hands on it."""
        with suppress(line.LineFailed, TimeoutError):
            async with asyncio.timeout(KILLED_WITHIN_S):
                await kernel.line.ask("signal", signals.SIGKILL)
                await kernel.line.ended.wait()
                return
        await kernel.line.close()
        assert self._cluster is not None
        await running.removed(self._cluster, kernel.name)

    async def limit_memory(self, name: str, wanted: int) -> Answer:
        await self._kernels[name].line.ask("limit_memory", wanted)
        return {}

    async def admit(self, name: str, path: str) -> Answer:
        """The broker's socket is the launcher's to connect to, by its name in the kernel's local box; the pod has it at the same."""
        kernel = self._kernels[name]
        with sockets.opened(self._rules, path) as socket:
            inside = self._folders.link(kernel.start, socket, None)
        await kernel.line.ask("listen", BROKER_SOCKET)
        kernel.line.lead(BROKER_SOCKET, inside)
        return {"path": inside}

    async def why(self, name: str) -> Answer:
        return {"why": self._kernels[name].why}

    async def release(self, name: str) -> Answer:
        kernel = self._kernels.pop(name, None)
        if kernel is not None:
            self._watches.pop(name).cancel()
            await kernel.line.close()
            assert self._cluster is not None
            await running.removed(self._cluster, kernel.name)
            kernel.ended("")
            self._folders.let_go(kernel.start.work, kernel.start.box)
        return {}

    async def close(self) -> None:
        await asyncio.gather(*(self.release(name) for name in list(self._kernels)))
        if self._cluster is not None:
            if self._given is not None:
                with suppress(ClusterGone, ClusterRefused):
                    await examine.cleared(self._cluster, self._given.label)
            await self._cluster.close()
        self._folders.close()

    def boxes(self) -> set[str]:
        return {kernel.start.box for kernel in self._kernels.values()}


def _listens(connection: str) -> tuple[str, set[int]]:
    """Where jupyter_client looks for the kernel's channels. Raises ValueError."""
    said = json.loads(connection)
    ports = [value for name, value in said.items() if name.endswith("_port")] if isinstance(said, dict) else []
    if not ports or not isinstance(said.get("ip"), str) or not all(type(port) is int for port in ports):
        raise ValueError(f"{CONNECTION} is none of jupyter_client's: it names no ip with ports")
    return said["ip"], set(ports)


async def _opened(found: line.Line, start: Start, ip: str, ports: Collection[int]) -> None:
    """The kernel's channels, and the way to the egress proxy."""
    for port in ports:
        # In its box, wherever that file says.
        name = f"{Path(ip).name}-{port}"
        await found.listen(f"{start.box}/{name}", name)
    if start.egress == EGRESS_ALLOW_LIST:
        found.lead(EGRESS_SOCKET, f"{start.box}/{EGRESS_SOCKET}")


def _mechanisms(rules: Rules, given: spec.Given, cluster: Cluster) -> list[str]:
    wanted = spec.pods(rules)
    return [
        *(f"pods in {cluster.namespace}", f"image {wanted.image}", wanted.runtime or "the cluster's default runtime"),
        *("restricted profile", "read-only root", "no service account token", "seccomp", "NetworkPolicies, which are enforced"),
        f"files on the claim {wanted.claim}" if wanted.claim else "files end with their kernel (no SPIN_KERNEL_CLAIM)",
        f"{rules.memory_bytes // MIB} MiB of memory" if rules.memory_bytes else "no limit on memory (no SPIN_KERNEL_MEMORY_BYTES)",
        "pods end with the runtime's" if given.owner else "pods have no owner: they end with their line, and what is left at the next start",
        *([] if given.runtime else ["kernels' ports open to the cluster, to holders of a kernel's certificate alone"]),
    ]
