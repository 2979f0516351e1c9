"""Making one container run, for a kernel or for the probe."""

import os
from collections.abc import Collection, Mapping
from typing import Any

from spin_runtime.launcher.containers import spec
from spin_runtime.launcher.containers.engine import Engine
from spin_runtime.launcher.folders import CONNECTION, Folders
from spin_runtime.launcher.rules import Start, Unable


def user_of(folders: Folders, start: Start, taken: Collection[int]) -> tuple[int, int]:
    """Whose the kernel's folders are: a user of their own where the launcher may give them one, and never root."""
    uid = folders.give_all(start, taken, (CONNECTION, spec.STDERR))
    return (os.geteuid(), os.getegid()) if uid is None else (uid, uid)


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
