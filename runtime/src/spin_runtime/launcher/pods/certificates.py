"""The two certificates of one kernel, each the other side's only trust. They are made for it, and end with it."""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Clocks of machines differ, and a kernel may live for long.
BEFORE, AFTER = datetime.timedelta(days=1), datetime.timedelta(days=3650)
AGENT, RUNTIME = "agent.kernel.spin", "runtime.kernel.spin"


@dataclass(frozen=True, repr=False)
class Side:
    """PEM: what this side shows, and its key."""

    certificate: bytes
    key: bytes

    @property
    def both(self) -> bytes:
        return self.certificate + self.key


def made() -> tuple[Side, Side]:
    """The agent's and the runtime's."""
    return _side(AGENT, ExtendedKeyUsageOID.SERVER_AUTH), _side(RUNTIME, ExtendedKeyUsageOID.CLIENT_AUTH)


def _side(name: str, usage: x509.ObjectIdentifier) -> Side:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - BEFORE).not_valid_after(now + AFTER)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Side(certificate.public_bytes(serialization.Encoding.PEM), private)
