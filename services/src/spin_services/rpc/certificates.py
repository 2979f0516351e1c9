"""Certificates between services: both sides show one, and each is checked for the service that it names.

Rules: a service's certificate names it as `<service>.spin.internal` (a DNS name among the alternative ones), so that any CA can issue it; a caller
checks that name whatever the address was; a service token counts only with a certificate that names its service. Files are read again when
they change, so that a renewed certificate needs no restart; one that cannot be used leaves the old one in force, which the log says.
"""

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import grpc
import structlog
from cryptography import x509

from spin_services.rpc.limits import CHANNEL_OPTIONS

DOMAIN = ".spin.internal"
LOOK_AGAIN_S = 10.0
ENDS_SOON_DAYS = 14

log = structlog.get_logger("spin.certificates")


def dns_name(service: str) -> str:
    return service + DOMAIN


@dataclass(frozen=True)
class Tls:
    """The files of one program, in PEM. `authority` may hold several CAs, the old and the new one."""

    certificate: Path
    key: Path
    authority: Path

    def fault(self) -> str | None:
        """Why these files cannot be used; None when they can. For a person, without their content."""
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # An encrypted key would make OpenSSL ask on the terminal.
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except (OSError, ssl.SSLError) as error:
            return f"the certificate {self.certificate} and the key {self.key} cannot be used together: {error.strerror or error}"
        try:
            context.load_verify_locations(cafile=self.authority)
        except (OSError, ssl.SSLError) as error:
            return f"{self.authority} holds no readable CA certificates: {error.strerror or error}"
        return None

    def expired(self) -> str | None:
        """Why nobody would talk to a service with this certificate; None before its end. Commands that make no connection go on without it."""
        left = days_left(self.certificate.read_bytes())
        return f"the certificate {self.certificate} expired {-left:.1f} days ago, so nobody talks to who shows it: renew it" if left <= 0 else None

    def unnamed(self, services: Iterable[str]) -> str | None:
        """Why callers would not talk to these services; None when the certificate names all of them."""
        lacking = sorted(set(map(dns_name, services)) - dns_names(self.certificate.read_bytes()))
        return f"the certificate {self.certificate} does not name {', '.join(lacking)}: no caller would talk to it" if lacking else None


@dataclass(frozen=True)
class Certificates:
    """What the files held when they were read."""

    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes

    def channel(self, callee: str, address: str) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)
        return grpc.aio.secure_channel(address, credentials, options=[*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", dns_name(callee))])

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.authority)


class CertificateFiles:
    """The newest usable content of the files."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._seen = self._marks()
        self._looked = time.monotonic()
        self.current = self._read()
        self._told = (0, 0)

    def look(self, every_s: float = LOOK_AGAIN_S) -> Certificates:
        """What is in force now; looks at the files no more often than that."""
        if time.monotonic() - self._looked >= every_s:
            self._looked = time.monotonic()
            self._renew()
        return self.current

    def server_credentials(self) -> grpc.ServerCredentials:
        """Each new connection meets the certificate of that moment, and must show one."""
        offered = self.current

        def newest() -> grpc.ServerCertificateConfiguration:
            nonlocal offered
            if self.look() is offered:
                # gRPC's word for no change, which its type stubs do not have.
                return cast(grpc.ServerCertificateConfiguration, None)
            offered = self.current
            return offered.configuration()

        return grpc.dynamic_ssl_server_credentials(offered.configuration(), newest, require_client_authentication=True)

    def _renew(self) -> None:
        marks = self._marks()
        if marks != self._seen:
            self._seen = marks
            if fault := self._tls.fault() or self._tls.expired():
                log.error("certificate_unusable", why=fault, mend="put a certificate, its key and the CA in place; the former ones are still in use")
            else:
                self.current = self._read()
        days = days_left(self.current.certificate)
        if days <= 0 and self._told != (told := (int(days), hash(self.current.certificate))):
            self._told = told
            log.error("certificate_expired", file=str(self._tls.certificate), days=round(-days, 1), mend="renew it; no restart is needed")
        elif days < ENDS_SOON_DAYS and self._told != (told := (int(days), hash(self.current.certificate))):
            self._told = told
            log.warning("certificate_ends_soon", file=str(self._tls.certificate), days=round(days, 1), mend="renew it; no restart is needed")

    def _read(self) -> Certificates:
        tls = self._tls
        return Certificates(tls.certificate.read_bytes(), tls.key.read_bytes(), tls.authority.read_bytes())

    def _marks(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_mark(path) for path in (self._tls.certificate, self._tls.key, self._tls.authority))


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def days_left(certificate: bytes) -> float:
    """Until the first certificate of a PEM file ends; negative afterwards."""
    end = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    return (end - datetime.now(UTC)).total_seconds() / 86400


def dns_names(certificate: bytes) -> set[str]:
    """Those of the first certificate of a PEM file."""
    try:
        names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    return set(names.value.get_values_for_type(x509.DNSName))


def named_services(auth_context: Mapping[str, Iterable[bytes]]) -> frozenset[str]:
    """The services that the peer's certificate names, which gRPC has verified."""
    names = [name.decode("ascii", "replace") for name in auth_context.get("x509_subject_alternative_name", ())]
    return frozenset(name.removesuffix(DOMAIN) for name in names if name.endswith(DOMAIN))
