"""The composition root of the server: settings and a broker in, a runtime that can be started and stopped out."""

import asyncio
import time
from collections.abc import Mapping

import structlog

from spin_runtime.broker.api import Broker, Status
from spin_runtime.kernels.pool import JupyterPool
from spin_runtime.launcher.client import LauncherClient
from spin_runtime.server.client import Services
from spin_runtime.server.endpoint import Endpoint
from spin_runtime.server.http import HttpServer, metrics_app, public_app
from spin_runtime.server.standing import Standing
from spin_runtime.session.driver import Collaborators, Limits
from spin_runtime.session.model import Rules
from spin_runtime.session.sessions import Sessions
from spin_runtime.session.tracing import RunTraces
from spin_runtime.settings import Settings, tls_context
from spin_runtime.telemetry import Metrics, tracer

log = structlog.get_logger(__name__)


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Runtime:
    """Every part of a running runtime, in the order in which they start."""

    def __init__(self, settings: Settings, broker: Broker, pool: JupyterPool, sessions: Sessions, endpoint: Endpoint, metrics: Metrics) -> None:
        self._settings, self._broker, self._pool = settings, broker, pool
        self.sessions, self._endpoint = sessions, endpoint
        tls = tls_context(settings.tls_cert, settings.tls_key, settings.client_ca) if settings.tls_cert and settings.tls_key else None
        self._https = tls is not None
        self._standing = Standing(broker, sessions, endpoint)
        self._following: asyncio.Task[None] | None = None
        self._server = HttpServer(public_app(endpoint, sessions), settings.listen, settings.port, "SPIN_RUNTIME_PORT or SPIN_LISTEN", tls)
        at = "127.0.0.1", settings.metrics_port, "SPIN_RUNTIME_METRICS_PORT"
        self._metrics_server = HttpServer(metrics_app(metrics.registry), *at) if settings.metrics_port else None
        self.port = 0

    async def start(self) -> None:
        """Raises CannotListen, OSError for the disk, LaunchRefused, and IsolationUnavailable where kernels cannot be isolated as was asked for."""
        await self._pool.begin()
        self.sessions.start()
        self.port = await self._server.start()
        if self._metrics_server is not None:
            await self._metrics_server.start()
        self._pool.start()
        self._following = asyncio.create_task(self._standing.follow())
        _announce(await self._broker.status(), self._settings, self.port, self._https)

    async def stop(self) -> None:
        """No new runs; running ones get their grace and are then interrupted; receipts are on disk when this returns."""
        await self.sessions.drain(self._settings.stop_grace_s * 1000)
        # The last frames reach clients that still listen.
        await asyncio.sleep(0.1)
        await self.close()

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._endpoint.close()
        await self._server.stop()
        if self._metrics_server is not None:
            await self._metrics_server.stop()
        await self.sessions.close()
        await self._pool.close()
        await self._broker.close()


def build(settings: Settings, environment: Mapping[str, str], broker: Broker, launcher: LauncherClient) -> Runtime:
    """`environment` is what kernels get their share of. The broker may be in another process."""
    var = settings.home / "var"
    pool = JupyterPool(environment, var / "work", settings.spare_kernels, settings.isolation, settings.egress, launcher, settings.default_kernel)
    metrics = Metrics()
    traces = RunTraces(tracer(settings.otlp_endpoint, settings.trace_ratio), metrics)
    rules = Rules(queue=settings.queue, wall_ms=settings.run_wall_s * 1000, idle_cull_ms=settings.idle_cull_s * 1000)
    limits = Limits(rules, settings.output_bytes, settings.message_bytes)
    sessions = Sessions(Collaborators(pool, broker, wall_clock_ms, traces), limits, var, settings.stream_bytes, settings.session_keep_s * 1000)
    metrics.watch_sessions(lambda: len(sessions), lambda: sum(session.journal.memory_bytes for session in sessions))
    services = Services(broker, pool, wall_clock_ms, lambda: sessions.draining, settings.message_bytes)
    return Runtime(
        settings,
        broker,
        pool,
        sessions,
        Endpoint(services, sessions, metrics, settings.warnings, settings.client_certificates == "required"),
        metrics,
    )


def fingerprint_groups(fingerprint: bytes) -> str:
    """Eight groups of eight digits, as the web client shows them."""
    text = fingerprint.hex()
    return " ".join(text[at : at + 8] for at in range(0, len(text), 8))


def _announce(status: Status, settings: Settings, port: int, https: bool) -> None:
    for warning in settings.warnings:
        log.warning("configuration", text=warning)
    scheme = "https" if https else "http"
    log.info("ready", url=f"{scheme}://{settings.listen}:{port}", paired=status.paired, workspace_id=status.workspace_id.hex())
    log.info("compare this with the fingerprint in the workspace before you confirm the runtime", fingerprint=fingerprint_groups(status.fingerprint))
