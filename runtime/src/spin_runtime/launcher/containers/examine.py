"""Finding out what the engine gives, by asking it and by trying.

A probe runs in a container as kernels do. What it could do that it must not, and what it could not do that kernels need, is told with the
mend, and then the runtime does not start. An engine that would discard a limit is not used either.
"""

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spin_runtime.launcher.containers import leftovers, spec
from spin_runtime.launcher.containers.engine import UNIX, Engine, EngineGone, EngineRefused, object_of
from spin_runtime.launcher.folders import STDERR
from spin_runtime.launcher.rules import EGRESS_OPEN, EngineRules, Rules, Unable

# Its programs have a kernel of their own, in which they may do that; and it keeps the engine's no-new-privileges where prctl does not show it.
HARMLESS_IN_GVISOR = ("trace", "namespaces", "privileges")
COULD = {
    "read": "kernels can read the runtime's data",
    "signal": "kernels can signal the runtime: the engine shares the machine's processes",
    "processes": "kernels can look into the runtime's processes: the engine shares the machine's processes",
    "abstract": "kernels can reach other processes' abstract sockets: the engine shares the machine's network",
    "network": "kernels can reach the runtime's loopback: the engine shares the machine's network",
    "interfaces": "the engine gives kernels a network that were to have none (NetworkMode none has no effect): use a Docker engine that keeps to it",
    "trace": "seccomp does not keep kernels from tracing processes",
    "namespaces": "seccomp does not keep kernels from making namespaces",
    "privileges": "kernels can gain privileges: no-new-privileges has no effect",
    "capabilities": "kernels keep capabilities: dropping them has no effect",
    "root": "kernels run as root",
    "image": "kernels can write to the image's files: read-only roots have no effect",
}
SOCKETS = "the runtime's sockets do not pass into containers{}"
FAILED = {
    "files": "kernels cannot write their session's folder: the engine must not give containers other users (userns-remap, rootless)",
    "scratch": "kernels cannot write to /tmp",
    "broker": SOCKETS,
    "sockets": SOCKETS,
    "proxy": "kernels do not reach the egress proxy: its socket does not pass into containers{}",
}
RUNSC_SOCKETS = ': add "--host-uds=all" to the runtimeArgs of {} in the engine\'s daemon.json, and restart the engine'


@dataclass(frozen=True)
class Proved:
    """What the image has of kernels, as jupyter_client reads it, and its Python."""

    kernels: Mapping[str, Any]
    python: str


async def reached(engine: Engine, rules: EngineRules) -> str:
    """The engine's version. Raises Unable."""
    path = Path(rules.address.removeprefix(UNIX))
    try:
        return await engine.agree()
    except EngineGone as error:
        raise Unable(f"no Docker engine answers at {path}: {_mend(path, str(error))}") from error
    except EngineRefused as error:
        raise Unable(f"the engine at {path} cannot be used: {error}. Install a newer one") from error


def _mend(path: Path, said: str) -> str:
    if "ermission" in said:
        return f"{said}. Let the runtime's user open it (the group of {path}, which is as good as root), or start the runtime as root"
    return f"{said}. Start the engine (dockerd), or say where its socket is with DOCKER_HOST=unix://PATH"


async def given(engine: Engine, rules: Rules, label: str) -> spec.Given:
    """Raises Unable, EngineGone, EngineRefused."""
    assert rules.engine is not None
    said = object_of(await engine.get("/info"))
    if faults := list(_lacking(said, rules)):
        raise Unable("; ".join(faults))
    image = await _image(engine, rules.engine.image)
    await leftovers.clear(engine, label)
    network = f"spin-kernels-{label}" if rules.egress == EGRESS_OPEN else ""
    if network:
        await engine.post("/networks/create", spec.network(network, label))
    return spec.Given(image, network, int(said["MemTotal"]), swap=bool(said.get("SwapLimit")))


def _lacking(said: Mapping[str, Any], rules: Rules) -> list[str]:
    assert rules.engine is not None
    runtimes, wanted = sorted(object_of(said.get("Runtimes") or {})), rules.engine.runtime
    faults = {
        f"SPIN_KERNEL_RUNTIME is {wanted}, which the engine does not know (it has {', '.join(runtimes)}): name it under runtimes in the "
        "engine's daemon.json and restart the engine, or unset SPIN_KERNEL_RUNTIME": bool(wanted) and wanted not in runtimes,
        "the engine runs no Linux containers": said.get("OSType") != "linux",
        "the engine has no seccomp": not any(option.startswith("name=seccomp") for option in said.get("SecurityOptions") or ()),
        "the engine cannot limit memory: its machine needs the memory cgroup": not said.get("MemoryLimit"),
        "the engine cannot limit processes: its machine needs the pids cgroup": not said.get("PidsLimit"),
        "SPIN_KERNEL_CPUS is set, and the engine cannot limit CPUs: its machine needs the cpu cgroup": bool(rules.engine.cpus)
        and not said.get("CpuCfsQuota"),
    }
    return [text for text, fault in faults.items() if fault]


async def _image(engine: Engine, name: str) -> spec.Image:
    try:
        said = object_of(await engine.get(f"/images/{name}/json"))
    except EngineRefused as error:
        if not error.absent:
            raise
        raise Unable(f"the engine has no image {name} (SPIN_KERNEL_IMAGE): pull or build it there first, the runtime fetches none") from error
    return spec.Image(str(said.get("Id")), sorted(object_of(object_of(said.get("Config") or {}).get("Volumes") or {})))


def read(rules: Rules, box: Path) -> Proved:
    """What the probe said. Raises Unable."""
    assert rules.engine is not None
    image, output = rules.engine.image, (box / STDERR).read_text(errors="replace")
    try:
        said = json.loads(output.strip().splitlines()[-1])
        faults = list(_faults(said, rules, box))
        missing, kernels, python = list(said["missing"]), dict(said["kernels"]), str(said["python"])
    except (ValueError, IndexError, KeyError, TypeError, AttributeError):
        words = " ".join(output.strip().splitlines()[-2:])[-500:]
        raise Unable(f"a probe in a container of {image} failed (the image needs /bin/sh and python3): {words}") from None
    if missing:
        raise Unable(f"the image {image} is not for kernels, its {python} has no {', no '.join(missing)}: install ipykernel and spin-kernel in it")
    if faults:
        raise Unable("; ".join(faults))
    return Proved(kernels, python)


def _faults(said: Mapping[str, Mapping[str, bool]], rules: Rules, box: Path) -> dict[str, None]:
    assert rules.engine is not None
    gvisor = rules.engine.gvisor
    could = [COULD[name] for name, done in said["could"].items() if done and not (gvisor and name in HARMLESS_IN_GVISOR)]
    failed = dict(said["failed"]) | {"sockets": said["failed"]["sockets"] or not _is_socket(box / "bound")}
    more = RUNSC_SOCKETS.format(rules.engine.runtime) if gvisor else ""
    return dict.fromkeys([*could, *(FAILED[name].format(more) for name, done in failed.items() if done)])


def _is_socket(path: Path) -> bool:
    return path.exists() and stat.S_ISSOCK(path.stat().st_mode)
