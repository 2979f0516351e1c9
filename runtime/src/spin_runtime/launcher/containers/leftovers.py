"""What a runtime made on its engine, found by its label, and removed: at its start, because an earlier one may have left it, and at its end."""

import asyncio
import hashlib
import json

from spin_runtime.launcher.containers.engine import Engine, EngineGone, EngineRefused, objects_of
from spin_runtime.launcher.containers.spec import LABEL

REMOVED_WITHIN_S = 20.0


def label_of(private: str) -> str:
    """A runtime is known by where its data are."""
    return hashlib.sha256(private.encode()).hexdigest()[:16]


async def clear(engine: Engine, label: str) -> None:
    """Raises EngineGone, EngineRefused."""
    wanted = json.dumps({"label": [f"{LABEL}={label}"]})
    left = objects_of(await engine.get("/containers/json", all="1", filters=wanted))
    await asyncio.gather(*(engine.remove(str(each.get("Id"))) for each in left))
    await _removed(engine, wanted)
    for network in objects_of(await engine.get("/networks", filters=wanted)):
        try:
            await engine.delete(f"/networks/{network.get('Id')}")
        except EngineRefused as error:
            if not error.already:
                raise


async def _removed(engine: Engine, wanted: str) -> None:
    """An engine that is asked twice says that the first removal is under way, and does not wait for it."""
    try:
        async with asyncio.timeout(REMOVED_WITHIN_S):
            while await engine.get("/containers/json", all="1", filters=wanted):  # noqa: ASYNC110 - an engine can only be asked
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise EngineGone("it does not remove the containers of an earlier start") from None
