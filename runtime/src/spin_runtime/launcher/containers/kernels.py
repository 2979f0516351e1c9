"""The kernels of one launcher, each a container.

- A kernel that the engine is not there for has ended: a shim may still run it, and the engine's next start, or ours, ends that.
- The janitor, a process of its own, ends them when this process dies.
"""

import asyncio
import os
import signal as signals
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from spin_runtime.launcher import driven, sockets
from spin_runtime.launcher.containers import examine, leftovers, probing, spec
from spin_runtime.launcher.containers.engine import Engine, EngineGone, EngineRefused, object_of
from spin_runtime.launcher.containers.running import created, started
from spin_runtime.launcher.driven import MIB, Answer
from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_NONE, EGRESS_OPEN, Rules, check_egress

ENGINE_GONE = "The container engine is gone, and the kernel with it."
NETWORKS = {EGRESS_NONE: "no network", EGRESS_ALLOW_LIST: "no network but the proxy's socket", EGRESS_OPEN: "own bridge network where egress is open"}
LEAST_MEMORY = 6 << 20
HOLDING: dict[int, str] = {signals.SIGSTOP: "pause", signals.SIGCONT: "unpause"}


@dataclass(kw_only=True)
class Kernel(driven.Kernel):
    container: str
    limit: int


class Containers(driven.Driver):
    def __init__(self, rules: Rules, folders: Folders, engine: Engine) -> None:
        super().__init__(rules, folders)
        self._engine = engine
        self._label = leftovers.label_of(rules.private)
        self._kernels: dict[str, Kernel] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._given: spec.Given | None = None
        # What a probe of each egress that a kernel was given has found in the image.
        self._proved: dict[str, examine.Proved] = {}
        self._proving = asyncio.Lock()
        self._janitor: subprocess.Popen[bytes] | None = None
        self._described: Answer = {}

    async def configure(self) -> None:
        """Finds out what the engine gives. Raises Unable, EngineGone, EngineRefused."""
        assert self._rules.engine is not None
        version = await examine.reached(self._engine, self._rules.engine)
        self._given = await examine.given(self._engine, self._rules, self._label)
        self._janitor = _janitor(self._rules.engine.address, self._label)
        found = await self._enforcing(self._rules.egress)
        mechanisms = _mechanisms(self._rules, self._given, version)
        self._described = {"mechanisms": mechanisms, "boxes": str(self._folders.boxes), "kernels": found.kernels, "python": found.python}

    async def describe(self) -> Answer:
        return self._described

    async def enforce(self, egress: str) -> Answer:
        """Says why not, before a kernel is started with less than the most. Once tried, it takes no time."""
        await self._enforcing(egress)
        return {}

    async def _enforcing(self, egress: str) -> examine.Proved:
        """Raises Unable."""
        check_egress(self._rules, egress)
        assert self._given is not None
        # Who asks while it is being tried waits for that.
        async with self._proving:
            if egress not in self._proved:
                self._proved[egress] = await probing.probed(self._engine, self._rules, self._folders, self._given, egress, self._label)
            return self._proved[egress]

    async def start(self, wanted: Mapping[str, Any], stderr: int) -> tuple[Answer, int]:
        """What it writes there it has in its box."""
        start = self._folders.start_of(wanted)
        await self._enforcing(start.egress)
        user = self._folders.user_of(start, [kernel.uid for kernel in self._kernels.values()])
        assert self._given is not None
        container = await created(self._engine, spec.container(self._rules, self._given, start, user, self._label))
        try:
            pid = await started(self._engine, container)
        except BaseException:
            await self._removed(container)
            raise
        reading, writing = os.pipe()
        kernel = Kernel(container=container, start=start, uid=user[0], limit=self._rules.memory_bytes, end=writing)
        self._kernels[container] = kernel
        self._watches[container] = asyncio.create_task(driven.watch(kernel, self._end_of))
        return {"kernel": container, "pid": pid}, reading

    async def _end_of(self, kernel: Kernel) -> str:
        try:
            await self._engine.wait(kernel.container)
            said = object_of(await self._engine.get(f"/containers/{kernel.container}/json"))
            for_memory = object_of(said.get("State")).get("OOMKilled")
        except EngineRefused:
            return ""  # it has been removed
        except EngineGone:
            return ENGINE_GONE
        return driven.out_of_memory(kernel.limit) if for_memory else ""

    async def signal(self, name: str, number: int) -> Answer:
        kernel = self._kernels[name]
        try:
            if number in HOLDING:
                # All that runs in there, whatever process group it is of.
                await self._engine.post(f"/containers/{kernel.container}/{HOLDING[number]}")
            else:
                await self._engine.post(f"/containers/{kernel.container}/kill", signal=str(number))
        except EngineRefused as error:
            if not error.already:
                raise
        except EngineGone:
            if number == signals.SIGKILL:
                kernel.ended(ENGINE_GONE)
            raise
        return {}

    async def limit_memory(self, name: str, wanted: int) -> Answer:
        """0 restores the configured limit."""
        assert self._given is not None
        kernel, most = self._kernels[name], self._rules.memory_bytes or self._given.memory_bytes
        limit = max(min(wanted or most, most), LEAST_MEMORY)
        if wanted and (held := await self._held(kernel)) > limit:
            raise ValueError(f"the kernel holds {held // MIB} MiB already, more than the {limit // MIB} MiB that it may take: restart it")
        await self._engine.post(f"/containers/{kernel.container}/update", spec.memory(limit, swap=self._given.swap))
        kernel.limit = limit
        return {}

    async def _held(self, kernel: Kernel) -> int:
        """Where the engine can tell: lowering the limit below it would end the kernel."""
        said = object_of(await self._engine.get(f"/containers/{kernel.container}/stats", stream="false", **{"one-shot": "true"}))
        memory = object_of(said.get("memory_stats") or {})
        # What files have in memory is given back.
        kept = object_of(memory.get("stats") or {})
        return int(memory.get("usage", 0)) - int(kept.get("inactive_file", kept.get("total_inactive_file", 0)))

    async def admit(self, name: str, path: str) -> Answer:
        kernel = self._kernels[name]
        with sockets.opened(self._rules, path) as socket:
            return {"path": self._folders.link(kernel.start, socket, kernel.uid if self._rules.uids else None)}

    async def why(self, name: str) -> Answer:
        return {"why": self._kernels[name].why}

    def boxes(self) -> set[str]:
        return {kernel.start.box for kernel in self._kernels.values()}

    async def release(self, name: str) -> Answer:
        kernel = self._kernels.pop(name, None)
        if kernel is not None:
            await self._removed(kernel.container)
            kernel.ended("")
            self._watches.pop(name).cancel()
            self._folders.let_go(kernel.start.work, kernel.start.box)
        return {}

    async def _removed(self, container: str) -> None:
        # What an engine cannot remove now is a leftover for the next start.
        with suppress(EngineGone, EngineRefused):
            await self._engine.remove(container)

    async def close(self) -> None:
        await asyncio.gather(*(self.release(name) for name in list(self._kernels)))
        with suppress(EngineGone, EngineRefused):
            await leftovers.clear(self._engine, self._label)
        await self._engine.close()
        if self._janitor is not None:
            self._janitor.communicate()
        self._folders.close()


def _janitor(address: str, label: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "spin_runtime.launcher.containers.janitor", address, label]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)


def _mechanisms(rules: Rules, given: spec.Given, version: str) -> list[str]:
    assert rules.engine is not None
    own = ["a user per work folder"] if rules.uids else []
    return [
        *(f"container engine {version}", f"image {given.image.identifier}", rules.engine.runtime or "the engine's default runtime"),
        *("read-only root", "no capabilities", "no_new_privs", "seccomp", "memory and process limits"),
        NETWORKS[rules.egress],
        *own,
    ]
