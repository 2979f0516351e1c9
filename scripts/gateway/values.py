"""The values of gateway/envoy.yaml.j2.

What can be derived is derived: services, methods and addresses come from the descriptor set, public methods from the services' own policy, so
that a new RPC needs no line here. A profile gives the rest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from spin_services.rpc.certificates import dns_name
from spin_services.rpc.policy import RULES, Public

SERVICES = ("auth", "workspace", "compiler", "secrets", "audit")
MAX_REQUEST_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True)
class Profile:
    """What differs between the places that the gateway runs in. Addresses are "host:port"."""

    listen: str
    admin: str
    public_url: str
    service_addresses: Mapping[str, str]
    ui_address: str
    descriptors: Path
    # STATIC for addresses, STRICT_DNS for names.
    discovery: str = "STATIC"
    cors_origins: tuple[str, ...] = ()
    tls_certificate: str = ""
    tls_key: str = ""
    # Files with which the gateway calls the services; empty where they are called without TLS.
    service_certificate: str = ""
    service_key: str = ""
    service_authority: str = ""
    trusted_proxies: int = 0
    rate_per_second: int = 2000
    otlp_address: str = ""
    trace_percent: float = 1.0


_AS_THEY_ARE = (
    *("discovery", "tls_certificate", "tls_key", "service_certificate", "service_key", "service_authority"),
    *("trusted_proxies", "otlp_address", "trace_percent"),
)


def _host(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _grpc_services(descriptors: Path) -> Iterator[tuple[str, descriptor_pb2.ServiceDescriptorProto]]:
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes())
    for file in files.file:
        for service in file.service:
            if file.package.startswith("spinapis."):
                yield file.package, service


def _http_path(method: descriptor_pb2.MethodDescriptorProto) -> str:
    rule = method.options.Extensions[annotations_pb2.http]
    return str(getattr(rule, rule.WhichOneof("pattern"))) if rule.WhichOneof("pattern") else ""


def public_paths(descriptors: Path) -> list[str]:
    """Addresses that need no access token: the gRPC path and the REST path of each public method."""
    paths = []
    for package, service in _grpc_services(descriptors):
        for method in service.method:
            name = f"/{package}.{service.name}/{method.name}"
            if isinstance(RULES.get(name), Public):
                paths += [name, *filter(None, [_http_path(method)])]
    return sorted(paths)


def _streams(descriptors: Path, name: str) -> list[str]:
    return sorted(
        f"/{package}.{service.name}/{method.name}"
        for package, service in _grpc_services(descriptors)
        if package == f"spinapis.{name}.v1"
        for method in service.method
        if method.server_streaming
    )


def security_headers(profile: Profile) -> list[tuple[str, str]]:
    """Sent with every reply. The page talks to runtimes wherever they are, so connect-src is open to WebSockets and nothing else."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self' ws: wss:",
        "frame-src": "'self' blob: data:",
        "worker-src": "'self' blob:",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    headers = [
        ("content-security-policy", "; ".join(f"{name} {value}" for name, value in policy.items())),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
    ]
    if profile.public_url.startswith("https://"):
        headers.append(("strict-transport-security", "max-age=31536000; includeSubDomains"))
    return headers


def template_values(profile: Profile) -> dict[str, Any]:
    listen_address, listen_port = _host(profile.listen)
    admin_address, admin_port = _host(profile.admin)
    ui_host, ui_port = _host(profile.ui_address)
    services = []
    for name in SERVICES:
        host, port = _host(profile.service_addresses[name])
        place = {"host": host, "port": port, "dns_name": dns_name(name)}
        services.append({"name": name, "prefix": f"/spinapis.{name}.v1.", "stream_paths": _streams(profile.descriptors, name), **place})
    scheme = "https" if profile.tls_certificate else "http"
    return {
        **{key: getattr(profile, key) for key in _AS_THEY_ARE},
        "listen_address": listen_address,
        "listen_port": listen_port,
        "admin_address": admin_address,
        "admin_port": admin_port,
        "services": services,
        "grpc_services": [f"{package}.{service.name}" for package, service in _grpc_services(profile.descriptors)],
        "public_paths": public_paths(profile.descriptors),
        "issuer": profile.public_url,
        "jwks_uri": f"{scheme}://127.0.0.1:{listen_port}/.well-known/jwks.json",
        "cors_origins": [{"exact": origin} for origin in profile.cors_origins],
        "descriptors": str(profile.descriptors),
        "ui_host": ui_host,
        "ui_port": ui_port,
        "security_headers": security_headers(profile),
        "unary_timeout_s": 30,
        "max_request_bytes": MAX_REQUEST_BYTES,
        "rate_per_second": profile.rate_per_second,
        "rate_burst": profile.rate_per_second * 2,
    }
