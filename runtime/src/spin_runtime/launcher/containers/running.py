"""Making one container run, for a kernel or for the probe."""

import os
from collections.abc import Collection, Mapping
from typing import Any

from spin_runtime.launcher import owners
from spin_runtime.launcher.containers import spec
from spin_runtime.launcher.containers.engine import Engine
from spin_runtime.launcher.rules import Rules, Start, Unable


def user_of(start: Start, rules: Rules, taken: Collection[int]) -> tuple[int, int]:
    """Whose the kernel's folders are: a user of their own where the launcher may give them one, and never root."""
    owners.make_inside(start)
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    uid = owners.give_all(start, rules, taken)
    os.chown(f"{start.box}/{spec.STDERR}", uid, rules.group)
    return uid, uid


async def created(engine: Engine, body: Mapping[str, Any]) -> str:
    """Raises EngineGone, EngineRefused; Unable when the engine leaves something out."""
    said = await engine.post("/containers/create", body)
    warnings = [text for text in said.get("Warnings") or () if "swap" not in text.lower()]
    if warnings:
        await engine.remove(said["Id"])
        raise Unable(f"the engine leaves something out: {'; '.join(warnings)}")
    return str(said["Id"])


async def started(engine: Engine, container: str) -> int:
    await engine.post(f"/containers/{container}/start")
    return int((await engine.get(f"/containers/{container}/json"))["State"]["Pid"])
