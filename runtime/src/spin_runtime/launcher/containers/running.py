"""Making one container run, for a kernel or for the probe."""

import os
from collections.abc import Collection, Mapping
from typing import Any

from spin_runtime.launcher.containers import spec
from spin_runtime.launcher.containers.engine import Engine, EngineRefused, object_of
from spin_runtime.launcher.folders import CONNECTION, Folders
from spin_runtime.launcher.rules import Start, Unable


def user_of(folders: Folders, start: Start, taken: Collection[int]) -> tuple[int, int]:
    """Whose the kernel's folders are: a user of their own where the launcher may give them one, and never root."""
    uid = folders.give_all(start, taken, (CONNECTION, spec.STDERR))
    return (os.geteuid(), os.getegid()) if uid is None else (uid, uid)


async def created(engine: Engine, body: Mapping[str, Any]) -> str:
    """Raises EngineGone, EngineRefused; Unable when the engine leaves something out."""
    said = object_of(await engine.post("/containers/create", body))
    container, told = str(said.get("Id", "")), said.get("Warnings") or []
    warnings = [str(text) for text in (told if isinstance(told, list) else [told]) if "swap" not in str(text).lower()]
    if warnings:
        await engine.remove(container)
        raise Unable(f"the engine leaves something out: {'; '.join(warnings)}")
    return container


async def started(engine: Engine, container: str) -> int:
    await engine.post(f"/containers/{container}/start")
    state = object_of(object_of(await engine.get(f"/containers/{container}/json")).get("State"))
    pid = state.get("Pid")
    if not isinstance(pid, int):
        raise EngineRefused(0, "it does not say which process the container is")
    return pid
