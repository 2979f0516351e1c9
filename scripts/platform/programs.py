"""What the local platform consists of, in the order in which it starts."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.certificates.authority import Authority
from scripts.gateway.render import render
from scripts.gateway.values import SERVICES, Profile
from scripts.platform.settings import ROOT, Settings
from scripts.platform.supervisor import Program
from spin_runtime import accounts
from spin_runtime.settings import KERNEL_UIDS
from spin_services.rpc.certificates import dns_name

POLL_S = 0.05
QUICK_RECONNECT = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
BIN = Path(sys.executable).parent


def services(settings: Settings) -> Program:
    if settings.mutual_tls:
        authority = Authority.opened(settings.certificates)
        for name in ("all", "gateway"):
            authority.issue(name)
    return Program("services", [str(BIN / "spin-service"), "all"], service_environment(settings), lambda: _services_ready(settings))


def gateway(settings: Settings) -> Program:
    configuration = settings.run / "envoy.yaml"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(render(_gateway_profile(settings)))
    argv = [str(BIN / "envoy"), "--config-path", str(configuration), "--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"]
    return Program("gateway", argv, _base_environment(), _http_ready(f"http://127.0.0.1:{settings.gateway_port}/.well-known/jwks.json"))


def runtime(settings: Settings, token: str) -> Program:
    environment = _base_environment() | {
        "SPIN_TOKEN": token,
        "SPIN_HOME": str(settings.runtime_home),
        "SPIN_LISTEN": "127.0.0.1",
        "SPIN_RUNTIME_PORT": str(settings.runtime_port),
    }
    if out_of_reach(settings):
        environment["SPIN_UIDS"] = accounts.SHARED
    environment |= _passed(("SPIN_ISOLATION", "SPIN_EGRESS", "SPIN_KERNEL_", "SPIN_UIDS", "SPIN_BROKER_UID", "SPIN_SERVER_UID", "DOCKER_HOST"))
    if settings.otlp_endpoint:
        environment |= {"SPIN_OTLP_ENDPOINT": settings.otlp_endpoint, "SPIN_TRACE_RATIO": str(settings.trace_ratio)}
    return Program("runtime", [str(BIN / "spin-runtime")], environment, _http_ready(f"http://127.0.0.1:{settings.runtime_port}/healthz"))


def out_of_reach(settings: Settings) -> str:
    """What other users cannot read, where the platform is started as root; empty when users of its own can run the runtime."""
    if os.geteuid() != 0:
        return ""
    program = accounts.program_files()
    return accounts.unreachable(accounts.SERVER_UID, [*program, settings.data]) or accounts.unreachable(KERNEL_UIDS[0], program, [settings.data])


def service_environment(settings: Settings) -> dict[str, str]:
    """For `spin-service` commands, the supervisor's and a person's alike."""
    environment = _base_environment() | {
        "SPIN_DATA": str(settings.data),
        "SPIN_PUBLIC_URL": settings.public_url,
        "SPIN_SERVICE_PORT_BASE": str(settings.service_port_base),
        "SPIN_METRICS_PORT": str(settings.metrics_port),
        "SPIN_UI_FOLDER": str(ROOT / "web" / "dist"),
        "SPIN_UI_ADDRESS": settings.ui_address,
    }
    if settings.database_url:
        environment["SPIN_DATABASE_URL"] = settings.database_url
    if settings.otlp_endpoint:
        environment["SPIN_OTLP_ENDPOINT"] = settings.otlp_endpoint
    if settings.mutual_tls:
        folder = settings.certificates
        environment |= {"SPIN_TLS_CERT": str(folder / "all.pem"), "SPIN_TLS_KEY": str(folder / "all.key"), "SPIN_TLS_CA": str(folder / "ca.pem")}
    key_services = ("AWS_", "AZURE_", "GOOGLE_", "VAULT_") if "SPIN_KEK" in os.environ else ()
    return environment | _passed(("SPIN_OIDC_", "SPIN_OUTPUT_", "SPIN_AUDIT_", "SPIN_END_", "SPIN_TRACE_", "SPIN_LOG_", "SPIN_KEK", *key_services))


def _passed(documented: tuple[str, ...]) -> dict[str, str]:
    """Documented settings that stand in this shell: what is asked for is never left out in silence."""
    return {name: value for name, value in os.environ.items() if name.startswith(documented)}


def _gateway_profile(settings: Settings) -> Profile:
    files = [str(settings.certificates / name) if settings.mutual_tls else "" for name in ("gateway.pem", "gateway.key", "ca.pem")]
    return Profile(
        listen=f"127.0.0.1:{settings.gateway_port}",
        admin=settings.admin_address,
        public_url=settings.public_url,
        service_addresses={name: settings.service_address(name) for name in SERVICES},
        ui_address=settings.ui_address,
        service_certificate=files[0],
        service_key=files[1],
        service_authority=files[2],
        descriptors=ROOT / "protos" / "gen" / "descriptors.binpb",
        otlp_address=settings.otlp_endpoint.rpartition("//")[2],
        trace_percent=settings.trace_ratio * 100,
    )


def _base_environment() -> dict[str, str]:
    """What a process needs of this shell and nothing of its secrets."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME", "REQUESTS_CA_BUNDLE")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return environment | {"PATH": f"{BIN}{os.pathsep}{environment.get('PATH', os.defpath)}", "PYTHONUNBUFFERED": "1"}


async def _services_ready(settings: Settings) -> None:
    await asyncio.gather(*(_serving(name, settings) for name in SERVICES))


async def _serving(name: str, settings: Settings) -> None:
    async with _channel(name, settings) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            try:
                reply = await stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            except grpc.aio.AioRpcError:
                reply = health_pb2.HealthCheckResponse()
            if reply.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(POLL_S)


def _channel(name: str, settings: Settings) -> grpc.aio.Channel:
    address = settings.service_address(name)
    if not settings.mutual_tls:
        return grpc.aio.insecure_channel(address, options=QUICK_RECONNECT)
    authority, key, certificate = ((settings.certificates / file).read_bytes() for file in ("ca.pem", "gateway.key", "gateway.pem"))
    options = [*QUICK_RECONNECT, ("grpc.ssl_target_name_override", dns_name(name))]
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authority, key, certificate), options=options)


def _http_ready(url: str) -> Callable[[], Awaitable[None]]:
    async def ready() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(url) as reply:
                        if reply.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(POLL_S)

    return ready
