"""The node: a pod is a container that holds its network, and one that runs its program there, with its securityContext as the engine's options.

RuntimeDefault is moby's seccomp profile in the version that the repository keeps: what an engine has of its own depends on its age.
"""

import asyncio
import base64
import random
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import psutil

from spin_runtime.launcher.containers.engine import Engine, EngineRefused
from tests.fakes.container_engine import IMAGE, ContainerEngine

HOLDS = ["python3", "-I", "-S", "-c", "import signal; signal.pause()"]
# Whoever may write an emptyDir; the engine takes the mode from the image's folder.
SCRATCH = "rw,exec,nosuid,nodev,size={},uid={},gid={}"
Secret = Callable[[str], Awaitable[Mapping[str, str]]]


@dataclass
class Running:
    sandbox: str
    address: str
    process: int
    container: str = ""
    agent: int = 0


class ImageAbsent(Exception):
    """The engine does not have the image, and fetches none."""


class Node:
    def __init__(self, engine: ContainerEngine) -> None:
        self._address = engine.address
        self.folder = Path(tempfile.mkdtemp(prefix="spin-node-"))
        self.folder.chmod(0o755)
        self.network, self.gateway = "", ""
        self.claims: dict[str, Path] = {}
        self.running: dict[str, Running] = {}
        self._seccomp = resources.files("spin_runtime.launcher.containers").joinpath("seccomp.json").read_text()

    async def start(self) -> None:
        self._engine = Engine(self._address)
        await self._engine.agree()
        for _ in range(20):
            subnet = f"10.{random.randrange(100, 250)}.{random.randrange(256)}"
            body = {"Name": f"spin-pods-{subnet}", "IPAM": {"Config": [{"Subnet": f"{subnet}.0/24", "Gateway": f"{subnet}.1"}]}}
            try:
                self.network, self.gateway = (await self._engine.post("/networks/create", body))["Id"], f"{subnet}.1"
                return
            except EngineRefused as error:
                last = error
        raise last

    async def stop(self) -> None:
        for uid in list(self.running):
            await self.remove(uid)
        await self._engine.delete(f"/networks/{self.network}")
        await self._engine.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _started(self, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        made = str((await self._engine.post("/containers/create", body))["Id"])
        try:
            await self._engine.post(f"/containers/{made}/start")
            return made, await self._engine.get(f"/containers/{made}/json")
        except BaseException:
            await self._engine.remove(made)
            raise

    async def sandbox(self, uid: str) -> Running:
        host = {"NetworkMode": self.network, "CapDrop": ["ALL"], "LogConfig": {"Type": "none"}}
        made, said = await self._started({"Image": IMAGE, "Cmd": HOLDS, "Hostname": "kernel", "HostConfig": host})
        (network,) = said["NetworkSettings"]["Networks"].values()
        self.running[uid] = Running(made, network["IPAddress"], said["State"]["Pid"])
        return self.running[uid]

    def agents(self) -> list[psutil.Process]:
        """The pods' first processes, as the machine knows them, in the order of their pods."""
        return [psutil.Process(each.agent) for each in self.running.values() if each.agent]

    def processes(self) -> list[int]:
        """The machine's numbers of the kernels' programs."""
        return [child.pid for agent in self.agents() for child in agent.children()]

    async def filter(self, uid: str, rules: list[tuple[str, ...]]) -> None:
        script = "".join(f"iptables -w {' '.join(rule)}\n" for rule in rules)
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "--target", str(self.running[uid].process), "--net", "sh", "-e"),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate(script.encode())
        if process.returncode:
            raise RuntimeError(f"the pod's packet filter: {err.decode()}")

    async def run(self, uid: str, spec: Mapping[str, Any], secret: Secret) -> None:
        """Raises ImageAbsent."""
        (container,) = spec["containers"]
        running, pod = self.running[uid], spec["securityContext"]
        entry, *arguments = container["command"]
        body = {
            "Image": container["image"],
            "Entrypoint": [entry],
            "Cmd": arguments,
            "User": f"{pod['runAsUser']}:{pod['runAsGroup']}",
            "WorkingDir": container["workingDir"],
            "Env": ["KUBERNETES_SERVICE_HOST=10.0.0.1"],
            "HostConfig": self._secured(container)
            | await self._mounts(uid, spec, container, secret)
            | {"NetworkMode": f"container:{running.sandbox}"},
        }
        try:
            running.container, said = await self._started(body)
        except EngineRefused as error:
            if not error.absent:
                raise
            raise ImageAbsent(container["image"]) from None
        running.agent = said["State"]["Pid"]

    def _secured(self, container: Mapping[str, Any]) -> dict[str, Any]:
        own, limits = container["securityContext"], container["resources"].get("limits", {})
        options = [f"seccomp={self._seccomp}", *(["no-new-privileges"] if own["allowPrivilegeEscalation"] is False else [])]
        host = {"ReadonlyRootfs": bool(own.get("readOnlyRootFilesystem")), "CapDrop": own["capabilities"]["drop"], "SecurityOpt": options}
        memory = {"Memory": int(limits["memory"]), "MemorySwap": int(limits["memory"])} if "memory" in limits else {}
        cpus = {"NanoCpus": int(limits["cpu"].removesuffix("m")) * 1_000_000} if "cpu" in limits else {}
        return host | memory | cpus | {"LogConfig": {"Type": "none"}}

    async def _mounts(self, uid: str, spec: Mapping[str, Any], container: Mapping[str, Any], secret: Secret) -> dict[str, Any]:
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        in_memory = {name: each["emptyDir"]["sizeLimit"] for name, each in volumes.items() if each.get("emptyDir", {}).get("medium") == "Memory"}
        sources = {name: await self._source(uid, each, secret) for name, each in volumes.items() if name not in in_memory}
        user = spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]
        mounts, scratch = [], {}
        for mount in container["volumeMounts"]:
            if mount["name"] in in_memory:
                scratch[mount["mountPath"]] = SCRATCH.format(in_memory[mount["name"]], *user)
            else:
                source = str(Path(sources[mount["name"]], mount.get("subPath", "")))
                mounts.append({"Type": "bind", "Source": source, "Target": mount["mountPath"], "ReadOnly": bool(mount.get("readOnly"))})
        return {"Mounts": mounts, "Tmpfs": scratch}

    async def _source(self, uid: str, volume: Mapping[str, Any], secret: Secret) -> Path:
        if "persistentVolumeClaim" in volume:
            return self.claims[volume["persistentVolumeClaim"]["claimName"]]
        folder = self.folder / uid / volume["name"]
        folder.mkdir(parents=True)
        if "emptyDir" in volume:
            folder.chmod(0o777)
            return folder
        data = await secret(volume["secret"]["secretName"])
        for item in volume["secret"]["items"]:
            file = folder / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(base64.b64decode(data[item["key"]], validate=True))
            file.chmod(volume["secret"]["defaultMode"])
        return folder

    async def ended(self, uid: str) -> tuple[int, bool]:
        """The status, and whether it was for memory: when the program has ended."""
        running = self.running[uid]
        await self._engine.wait(running.container)
        running.agent = 0
        state = (await self._engine.get(f"/containers/{running.container}/json"))["State"]
        return state["ExitCode"], state["OOMKilled"]

    async def remove(self, uid: str) -> None:
        running = self.running.pop(uid, None)
        if running is not None:
            await asyncio.gather(*(self._engine.remove(each) for each in (running.container, running.sandbox) if each))
        shutil.rmtree(self.folder / uid, ignore_errors=True)
