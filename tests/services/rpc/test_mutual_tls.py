"""Calls between services under certificates, where they are configured."""

import datetime
import ipaddress
from dataclasses import replace
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

from spin_services.platform import Tls
from spin_services.rpc.errors import ServiceError
from spin_services.rpc.identity import Caller, set_caller
from spin_services.rpc.server import App
from spinapis.auth.v1.members_pb2 import GetAccessRequest
from spinapis.auth.v1.members_pb2_grpc import AccessServiceStub
from tests.fakes.installation import Installation
from tests.fakes.peer_services import FakeAccess, add_access

WORKSPACE, USER = "a1" * 16, "b2" * 16


def certificate(name: str, key: EllipticCurvePrivateKey, issuer: str, issuer_key: EllipticCurvePrivateKey, is_authority: bool) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def tls(authority: EllipticCurvePrivateKey) -> Tls:
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Tls(certificate("service", key, "authority", authority, False), pem, certificate("authority", authority, "authority", authority, True))


@pytest.fixture
async def secured(installation: Installation) -> tuple[Installation, EllipticCurvePrivateKey]:
    """A server in auth's place that answers peers with certificates of one authority alone."""
    authority, access = generate_private_key(SECP256R1()), FakeAccess()
    access.roles[USER, WORKSPACE] = 1  # type: ignore[assignment]
    installation.platform = replace(installation.platform, tls=tls(authority))
    add, servicer = add_access(access)
    await installation.start(App("auth", [(add, servicer, "spinapis.auth.v1.AccessService")]), installation.wiring("auth"))
    return installation, authority


async def ask(installation: Installation) -> Any:
    wiring = installation.wiring("workspace")
    set_caller(Caller(user_id=USER, access_token=installation.access_token(USER)))
    try:
        return await wiring.peers.stub(AccessServiceStub).GetAccess(GetAccessRequest(workspace_id=WORKSPACE), timeout=3)
    finally:
        await wiring.close()


async def test_peers_with_certificates_talk(secured: tuple[Installation, EllipticCurvePrivateKey]) -> None:
    installation, authority = secured
    installation.platform = replace(installation.platform, tls=tls(authority))
    assert (await ask(installation)).role == 1


async def test_a_certificate_of_another_authority_is_refused(secured: tuple[Installation, EllipticCurvePrivateKey]) -> None:
    installation, _ = secured
    installation.platform = replace(installation.platform, tls=tls(generate_private_key(SECP256R1())))
    with pytest.raises(ServiceError, match="UNAVAILABLE"):
        await ask(installation)


async def test_nobody_gets_in_without_a_certificate(secured: tuple[Installation, EllipticCurvePrivateKey]) -> None:
    installation, authority = secured
    root = certificate("authority", authority, "authority", authority, True)
    async with grpc.aio.secure_channel(installation.platform.service_address("auth"), grpc.ssl_channel_credentials(root)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await AccessServiceStub(channel).GetAccess(GetAccessRequest(workspace_id=WORKSPACE), timeout=3)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
