"""The platform's address: how it is read, and the gRPC channel to it.

http is plaintext HTTP/2, https is TLS with the system's authorities or those of a CA file. A path is refused: gRPC has none.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from spin_client.sdk.errors import SpinError

DEFAULT_URL = "http://localhost:8080"
# Exports and notebooks with images; everything else is far smaller.
MAX_MESSAGE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Endpoint:
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """INVALID_ARGUMENT with the reason when the text is no usable address."""
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError as fault:
            raise SpinError("INVALID_ARGUMENT", f"{url!r} is not an address: {fault}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SpinError("INVALID_ARGUMENT", f"{url!r} is not an address: expected http://host:port or https://host")
        if parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
            raise SpinError("INVALID_ARGUMENT", f"the address of {parts.hostname} must have a scheme, a host and a port alone")
        return cls(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """As browsers write it: the scheme's own port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if self.port == (443 if self.tls else 80) else f"{self.scheme}://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def open_channel(endpoint: Endpoint, ca_file: Path | None, interceptors: Sequence[grpc.aio.ClientInterceptor]) -> grpc.aio.Channel:
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        ("grpc.primary_user_agent", "spin-client"),
    ]
    if endpoint.loopback:
        options.append(("grpc.enable_http_proxy", 0))
    if not endpoint.tls:
        return grpc.aio.insecure_channel(endpoint.authority, options=options, interceptors=list(interceptors))
    credentials = grpc.ssl_channel_credentials(root_certificates=_authorities(ca_file))
    return grpc.aio.secure_channel(endpoint.authority, credentials, options=options, interceptors=list(interceptors))


def _authorities(ca_file: Path | None) -> bytes | None:
    if ca_file is None:
        return None
    try:
        return ca_file.read_bytes()
    except OSError as fault:
        raise SpinError("INVALID_ARGUMENT", f"cannot read the CA file {ca_file}: {fault.strerror}") from None
