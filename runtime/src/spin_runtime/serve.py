"""The server's process: network, sessions and kernels; no token, no keys, no credentials.

- It stops in order when its standard input ends: that is how the supervisor asks, and how its death shows.
- Without its broker or its launcher it can do nothing, and ends at once: its kernels die with it, and the next boot records what was lost.
"""

import asyncio
import os
import signal
import socket
import sys

from spin_runtime.hardening import NEIGHBOUR_GONE, hide
from spin_runtime.settings import Settings


def main() -> None:
    hide()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    broker, launcher = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    for channel in (broker, launcher):
        channel.set_inheritable(False)
    sys.exit(_run(broker, launcher))


def _run(broker: socket.socket, launcher: socket.socket) -> int:
    import uvloop

    from spin_runtime.launcher.client import IsolationUnavailable, LaunchRefused
    from spin_runtime.logs import configure_logs
    from spin_runtime.server.http import CannotListen
    from spin_runtime.settings import checked_before

    settings = checked_before(os.environ)
    configure_logs(settings.log_format, settings.log_level)
    try:
        return uvloop.run(_serve(settings, broker, launcher))
    except IsolationUnavailable as error:
        sys.stderr.write(f"spin-runtime: SPIN_ISOLATION={settings.isolation} is not possible here: {error}\n")
        return 2
    except LaunchRefused:
        return NEIGHBOUR_GONE  # it has said why
    except CannotListen as error:
        sys.stderr.write(f"spin-runtime: {error}\n")
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        sys.stderr.write(f"spin-runtime: {error.filename} cannot be used: {error.strerror}. Mend or free it, or choose another SPIN_HOME\n")
        return 2


async def _serve(settings: Settings, brokers_end: socket.socket, launchers_end: socket.socket) -> int:
    from spin_runtime.app import build
    from spin_runtime.broker.api import BrokerError
    from spin_runtime.broker.remote import RemoteBroker
    from spin_runtime.launcher.client import LauncherClient

    broker = await RemoteBroker.connect(brokers_end)
    try:
        await broker.status()
    except BrokerError:
        return NEIGHBOUR_GONE  # it has said why
    launcher = LauncherClient(launchers_end)
    watches = [asyncio.create_task(_end_with(lost)) for lost in (broker.lost, launcher.lost)]
    stopping = _input_ended()
    runtime = build(settings, os.environ, broker, launcher)
    try:
        await runtime.start()
    except BaseException:
        await runtime.close()
        raise
    await stopping.wait()
    await runtime.stop()
    for watch in watches:
        watch.cancel()
    return 0


async def _end_with(lost: asyncio.Event) -> None:
    await lost.wait()
    os._exit(NEIGHBOUR_GONE)


def _input_ended() -> asyncio.Event:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def read() -> None:
        if not os.read(0, 1):
            loop.remove_reader(0)
            ended.set()

    loop.add_reader(0, read)
    return ended


if __name__ == "__main__":
    main()
