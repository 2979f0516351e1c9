"""`spin-runtime`: configuration from the environment, exit status 0 after an orderly stop, 2 when the configuration is wrong."""

import asyncio
import ctypes
import os
import signal
import sys

from spin_runtime.settings import Settings, SettingsInvalid, from_environment

PR_SET_DUMPABLE = 4


def main() -> None:
    try:
        settings = from_environment(os.environ)
    except SettingsInvalid as error:
        for fault in error.faults:
            sys.stderr.write(f"spin-runtime: {fault}\n")
        sys.exit(2)
    environment = dict(os.environ)
    _hide_from_neighbours()
    sys.exit(_run(settings, environment))


def _hide_from_neighbours() -> None:
    """What runs beside this process, kernels above all, must not read its token or its memory through /proc."""
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    # os.environ is a copy: the block that the process was started with, and that /proc shows, has to be overwritten itself.
    if address := libc.getenv(b"SPIN_TOKEN"):
        ctypes.memset(address, 0, len(os.environ["SPIN_TOKEN"]))
    os.environ.pop("SPIN_TOKEN", None)
    libc.prctl(PR_SET_DUMPABLE, 0)


def _run(settings: Settings, environment: dict[str, str]) -> int:
    import uvloop

    from spin_runtime.broker.disk import DiskError
    from spin_runtime.telemetry import configure_logs

    configure_logs(settings.log_format, settings.log_level)
    try:
        return uvloop.run(_serve(settings, environment))
    except DiskError as error:
        sys.stderr.write(f"spin-runtime: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(
            f"spin-runtime: cannot listen on {settings.listen}:{settings.port}: {error.strerror or error}. Choose another SPIN_RUNTIME_PORT.\n"
        )
        return 2


async def _serve(settings: Settings, environment: dict[str, str]) -> int:
    from spin_runtime.app import build

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stopping.is_set():
            # Asked twice: now. Kernels die with this process, and the next boot records what was lost.
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    runtime = await build(settings, environment)
    try:
        await runtime.start()
    except BaseException:
        await runtime.close()
        raise
    await stopping.wait()
    await runtime.stop()
    return 0


if __name__ == "__main__":
    main()
