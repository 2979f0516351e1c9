"""A CA in a folder, for development: it signs what it is asked to."""

import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from spin_services.platform import SERVICES
from spin_services.rpc.certificates import days_left, dns_name

AUTHORITY_DAYS, LEAF_DAYS, RENEW_DAYS = 3650, 90, 30
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


@dataclass(frozen=True)
class Authority:
    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_file(self) -> Path:
        return self.folder / "ca.pem"

    @classmethod
    def opened(cls, folder: Path) -> "Authority":
        """The CA of the folder, made where there is none. Raises ValueError when its files are no CA, OSError when they cannot be read."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        certificate_file, key_file = folder / "ca.pem", folder / "ca.key"
        if not certificate_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            _write_key(key_file, key)
            certificate_file.write_bytes(_pem(_authority_certificate(key)))
        read = serialization.load_pem_private_key(key_file.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        if not isinstance(read, ec.EllipticCurvePrivateKey) or read.public_key() != certificate.public_key():
            raise ValueError(f"{key_file} is not the key of {certificate_file}: delete {folder} to begin anew")
        return cls(folder, certificate, read)

    def issue(self, name: str) -> Path:
        """The certificate's file, NAME.pem beside NAME.key; made or renewed where that is due. Raises ValueError for what is no name."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: small letters, digits and hyphens")
        certificate_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        if not (certificate_file.exists() and key_file.exists()) or days_left(certificate_file.read_bytes()) < RENEW_DAYS:
            key = ec.generate_private_key(ec.SECP256R1())
            _write_key(key_file, key)
            certificate_file.write_bytes(_pem(self._leaf(name, key.public_key())))
        return certificate_file

    def _leaf(self, name: str, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        names = [dns_name(service) for service in (SERVICES if name == "all" else (name,))]
        places = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1"))]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            _builder(name, self.certificate.subject, key, LEAF_DAYS)
            .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names), *places]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())


def _authority_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SPIN development CA")])
    signs = x509.KeyUsage(*(field in ("key_cert_sign", "crl_sign") for field in _USAGES))
    builder = (
        _builder("SPIN development CA", name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signs, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


# The parameters of x509.KeyUsage, in their order.
_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
    )


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file.unlink(missing_ok=True)
    data = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(data)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
