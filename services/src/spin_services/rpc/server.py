"""A service's gRPC server, from start to drain.

Rules: one interceptor in one order (rpc/calls.py); health says SERVING only while new calls are welcome; on SIGTERM health turns to
NOT_SERVING, streams end, running calls get the drain time to finish; a background task that fails is logged and started again; what the start
made is kept out of the garbage collector's way.
"""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, cast

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from spin_services.rpc.access import RemoteAccess
from spin_services.rpc.calls import Admission, Calls
from spin_services.rpc.certificates import CertificateFiles
from spin_services.rpc.identity import TokenVerifier
from spin_services.rpc.limits import SERVER_OPTIONS
from spin_services.rpc.neighbours import HandlerCollector
from spin_services.rpc.policy import AccessLookup
from spin_services.rpc.wiring import Wiring

RESTART_S = 1.0
HEALTH_TOLD_S = 0.05
# New objects between two collections: a call makes some hundreds, which are nearly all free again before it ends.
COLLECT_AFTER = 5_000
Background = Callable[[], Coroutine[Any, Any, None]]

log = structlog.get_logger("spin.server")


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class App:
    """A built service: (add function, servicer, full name) of each gRPC service, background tasks, and how to close."""

    name: str
    servicers: Sequence[tuple[Callable[[Any, grpc.aio.Server], None], object, str]]
    background: Sequence[Background] = ()
    close: Callable[[], Awaitable[None]] = _nothing
    # auth looks roles up and refuses revoked sign-ins on its own; others leave both out.
    access: AccessLookup | None = None
    admit: Admission | None = None


class Server:
    """One running service."""

    def __init__(self, app: App, wiring: Wiring) -> None:
        self._app = app
        self._wiring = wiring
        platform, keys = wiring.platform, wiring.keys
        verifier = TokenVerifier(app.name, platform.public_url, keys.root, wiring.clock)
        access = app.access or RemoteAccess(wiring.peers, wiring.clock)
        self._calls = Calls(verifier, access, platform.trace_ratio, app.admit, certificates=platform.tls is not None)
        self._server = grpc.aio.server(interceptors=[self._calls], options=SERVER_OPTIONS)
        self._health = health.aio.HealthServicer()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> int:
        """Binds, serves, says SERVING; gives the port."""
        names = [name for _, _, name in self._app.servicers]
        for add, servicer, _ in self._app.servicers:
            add(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        port = self._bind()
        await self._server.start()
        self._open_door()
        self._tasks = [asyncio.create_task(_kept_running(self._app.name, work)) for work in self._app.background]
        for name in ("", *names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        log.info("serving", service=self._app.name, port=port)
        return port

    def _open_door(self) -> None:
        if self._wiring.door is not None:
            found = HandlerCollector()
            for add, servicer, _ in self._app.servicers:
                add(servicer, cast(grpc.aio.Server, found))
            self._wiring.door.open({method: self._calls.around(method, handler) for method, handler in found.handlers.items()})

    def _bind(self) -> int:
        address = self._wiring.platform.listen_address(self._app.name)
        tls = self._wiring.platform.tls
        try:
            if tls is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, CertificateFiles(tls).server_credentials())
        except RuntimeError:
            raise PortTaken(
                f"{self._app.name}: cannot listen on {address}: is it in use? Another SPIN_SERVICE_PORT_BASE moves all services."
            ) from None

    async def drain(self) -> None:
        """Refuses what is new, lets what runs end, then closes."""
        await self._health.enter_graceful_shutdown()
        # Watchers of our health are told before their streams end.
        await asyncio.sleep(HEALTH_TOLD_S)
        self._calls.drain()
        patience_s = self._wiring.platform.drain_s
        await asyncio.gather(self._server.stop(patience_s), *([self._wiring.door.drain(patience_s)] if self._wiring.door else []))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._app.close()
        await self._wiring.close()
        log.info("drained", service=self._app.name)


class PortTaken(RuntimeError):
    """The text is for the person who started the service."""


async def serve(servers: Sequence[Server]) -> None:
    """Runs until SIGTERM or SIGINT, then drains all."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        for server in servers:
            await server.start()
        _settle()
        await stop.wait()
    finally:
        await asyncio.gather(*(server.drain() for server in servers))


def _settle() -> None:
    """Modules and built services live as long as the process; to look through them at each full collection would stop all calls for 50 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


async def _kept_running(service: str, work: Background) -> None:
    while True:
        try:
            await work()
            return
        except Exception as error:
            log.error("background_failed", service=service, error=type(error).__name__, exc_info=error)
            await asyncio.sleep(RESTART_S)
