"""Making one container run, for a kernel or for the probe."""

from collections.abc import Mapping
from typing import Any

from spin_runtime.launcher.containers.engine import Engine, EngineRefused, object_of
from spin_runtime.launcher.rules import Unable


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
