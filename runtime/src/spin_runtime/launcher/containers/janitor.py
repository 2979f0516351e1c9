"""`python -m spin_runtime.launcher.containers.janitor ADDRESS LABEL`: removes the kernels' containers when its standard input ends.

The launcher holds the other end, so that its death, however it comes, is the end of its kernels. It is small until then.
"""

import asyncio
import contextlib
import signal
import sys

from spin_runtime.hardening import hide


async def _cleared(address: str, label: str) -> None:
    from spin_runtime.launcher.containers.engine import Engine, EngineGone, EngineRefused
    from spin_runtime.launcher.containers.leftovers import clear

    engine = Engine(address)
    # The next start does what could not be done now.
    with contextlib.suppress(EngineGone, EngineRefused):
        await engine.agree()
        await clear(engine, label)
    await engine.close()


if __name__ == "__main__":
    hide()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    asyncio.run(_cleared(sys.argv[1], sys.argv[2]))
