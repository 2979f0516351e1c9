"""Calls between services under certificates, where they are configured."""

import os
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from typer.testing import CliRunner

from scripts.certificates import authority as authorities
from scripts.certificates.authority import Authority
from scripts.platform.programs import BIN
from spin_services.environment import SettingsInvalid
from spin_services.main import app as spin_service
from spin_services.platform import from_environment
from spin_services.rpc import certificates
from spin_services.rpc.certificates import CertificateFiles, Tls, dns_name
from spin_services.rpc.errors import ServiceError
from spin_services.rpc.identity import SERVICE_METADATA, SERVICE_ROLES, USER_METADATA, Caller, set_caller
from spin_services.rpc.server import App
from spin_services.rpc.tokens import ServiceTokens
from spinapis.auth.v1.members_pb2 import GetAccessRequest
from spinapis.auth.v1.members_pb2_grpc import AccessServiceStub
from tests.fakes.installation import Installation
from tests.fakes.peer_services import FakeAccess, add_access

WORKSPACE, USER = "a1" * 16, "b2" * 16


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.opened(tmp_path / "certificates")


def tls(authority: Authority, name: str) -> Tls:
    file = authority.issue(name)
    return Tls(file, file.with_suffix(".key"), authority.certificate_file)


@pytest.fixture
async def secured(installation: Installation, authority: Authority) -> Installation:
    """A server in auth's place that answers callers with certificates of one authority alone."""
    access = FakeAccess()
    access.roles[USER, WORKSPACE] = 1  # type: ignore[assignment]
    installation.platform = replace(installation.platform, tls=tls(authority, "auth"))
    add, servicer = add_access(access)
    await installation.start(App("auth", [(add, servicer, "spinapis.auth.v1.AccessService")]), installation.wiring("auth"))
    return installation


@pytest.fixture(autouse=True)
def looking_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed files count at the next connection, not after some seconds."""
    monkeypatch.setattr(CertificateFiles.look, "__defaults__", (0.0,))


async def ask(installation: Installation, shown: Tls) -> Any:
    """workspace asks auth."""
    installation.platform = replace(installation.platform, tls=shown)
    wiring = installation.wiring("workspace")
    set_caller(Caller(user_id=USER, access_token=installation.access_token(USER)))
    try:
        return await wiring.peers.stub(AccessServiceStub).GetAccess(GetAccessRequest(workspace_id=WORKSPACE), timeout=3)
    finally:
        await wiring.close()


async def test_peers_with_certificates_talk(secured: Installation, authority: Authority) -> None:
    assert (await ask(secured, tls(authority, "workspace"))).role == 1


async def test_a_certificate_of_another_authority_is_refused(secured: Installation, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="UNAVAILABLE"):
        await ask(secured, tls(Authority.opened(tmp_path / "elsewhere"), "workspace"))


@pytest.mark.parametrize("name", ["gateway", "compiler"])
async def test_a_service_token_counts_with_its_own_certificate_alone(secured: Installation, authority: Authority, name: str) -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises(ServiceError, match="UNAUTHENTICATED"):
        await ask(secured, tls(authority, name))
    assert [line["certificate_names"] for line in logs if line["event"] == "service_token_without_its_certificate"] == [[name]]


async def test_who_names_another_service_is_not_talked_to(installation: Installation, authority: Authority) -> None:
    """Someone with workspace's certificate listens where auth should."""
    installation.platform = replace(installation.platform, tls=tls(authority, "workspace"))
    add, servicer = add_access(FakeAccess())
    await installation.start(App("auth", [(add, servicer, "spinapis.auth.v1.AccessService")]), installation.wiring("auth"))
    with pytest.raises(ServiceError, match="UNAVAILABLE"):
        await ask(installation, tls(authority, "workspace"))


async def test_nobody_gets_in_without_a_certificate(secured: Installation, authority: Authority) -> None:
    credentials = grpc.ssl_channel_credentials(authority.certificate_file.read_bytes())
    address, options = secured.platform.service_address("auth"), [("grpc.ssl_target_name_override", dns_name("auth"))]
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await AccessServiceStub(channel).GetAccess(GetAccessRequest(workspace_id=WORKSPACE), metadata=whole_identity(secured), timeout=3)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await AccessServiceStub(channel).GetAccess(GetAccessRequest(workspace_id=WORKSPACE), metadata=whole_identity(secured), timeout=3)


def whole_identity(installation: Installation) -> tuple[tuple[str, str], ...]:
    """All that a caller needs but a certificate."""
    tokens = ServiceTokens("workspace", lambda: installation.keys.role_key(SERVICE_ROLES["workspace"]), installation.clock)
    return (
        (SERVICE_METADATA, f"Bearer {tokens.for_callee('auth')}"),
        (USER_METADATA, f"Bearer {installation.access_token(USER)}"),
    )


async def test_renewed_certificates_count_without_a_restart(secured: Installation, authority: Authority) -> None:
    """Both sides change to a new CA, over a time in which both CAs are trusted, while one stub goes on calling."""
    shown = tls(authority, "workspace")
    secured.platform = replace(secured.platform, tls=shown)
    wiring = secured.wiring("workspace")
    set_caller(Caller(user_id=USER, access_token=secured.access_token(USER)))
    stub, before = wiring.peers.stub(AccessServiceStub), wiring.peers.channel("auth")
    answers = [(await stub.GetAccess(GetAccessRequest(workspace_id=WORKSPACE), timeout=3)).role]
    newer = Authority.opened(authority.folder.with_name("newer"))
    replaced(authority.certificate_file, authority.certificate_file.read_bytes() + newer.certificate_file.read_bytes())
    answers.append((await stub.GetAccess(GetAccessRequest(workspace_id=WORKSPACE), timeout=3)).role)
    for name in ("auth", "workspace"):
        for file in (newer.issue(name), newer.folder / f"{name}.key"):
            replaced(authority.folder / file.name, file.read_bytes())
    answers.append((await stub.GetAccess(GetAccessRequest(workspace_id=WORKSPACE), timeout=3)).role)
    replaced(authority.certificate_file, newer.certificate_file.read_bytes())
    answers.append((await stub.GetAccess(GetAccessRequest(workspace_id=WORKSPACE), timeout=3)).role)
    assert answers == [1, 1, 1, 1]
    assert wiring.peers.channel("auth") is not before
    await wiring.close()


def replaced(file: Path, content: bytes) -> None:
    other = file.with_suffix(".new")
    other.write_bytes(content)
    other.replace(file)


def test_a_renewal_that_went_wrong_leaves_the_old_one_in_force(authority: Authority) -> None:
    files = CertificateFiles(tls(authority, "auth"))
    before = files.current
    replaced(authority.folder / "auth.pem", b"half a certif")
    with structlog.testing.capture_logs() as logs:
        assert files.look() is before
        assert files.look() is before
    assert [line["log_level"] for line in logs] == ["error"]
    assert "auth.pem" in logs[0]["why"] and "certif\n" not in str(logs)


def test_a_certificate_that_ends_soon_is_told_once_a_day(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorities, "LEAF_DAYS", 5)
    files = CertificateFiles(tls(authority, "auth"))
    with structlog.testing.capture_logs() as logs:
        files.look()
        files.look()
    assert [(line["event"], line["log_level"]) for line in logs] == [("certificate_ends_soon", "warning")]
    assert 4.9 < certificates.days_left(files.current.certificate) <= 5


def test_a_certificate_that_expired_is_told_at_the_start_and_replaces_none(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tls(authority, "auth")
    files = CertificateFiles(good)
    before = files.current
    monkeypatch.setattr(authorities, "LEAF_DAYS", -2 / 1440)
    expired = tls(Authority(authority.folder, authority.certificate, authority.key), "audit")
    values = {"SPIN_TLS_CERT": str(expired.certificate), "SPIN_TLS_KEY": str(expired.key), "SPIN_TLS_CA": str(expired.authority)}
    values |= {"SPIN_DATA": str(authority.folder / "data")}
    # A process of its own: a service that starts configures the process's log.
    refused = subprocess.run([str(BIN / "spin-service"), "audit"], env=os.environ | values, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2 and re.search(r"audit\.pem expired .* days ago", refused.stderr)
    # What makes no connection works on: an expired certificate must not keep a stolen key in force.
    for command in ("init", "list", "rotate auth --compromised"):
        assert CliRunner().invoke(spin_service, ["keys", *command.split()], env=values).exit_code == 0
    for name in ("pem", "key"):
        replaced(authority.folder / f"auth.{name}", (authority.folder / f"audit.{name}").read_bytes())
    with structlog.testing.capture_logs() as logs:
        assert files.look() is before
    assert [line["event"] for line in logs] == ["certificate_unusable"] and "expired" in logs[0]["why"]


def test_a_certificate_in_use_that_expires_is_told_as_that(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    files = CertificateFiles(tls(authority, "auth"))
    monkeypatch.setattr(certificates, "days_left", lambda _certificate: -0.5)
    with structlog.testing.capture_logs() as logs:
        files.look()
        files.look()
    assert [(line["event"], line["log_level"]) for line in logs] == [("certificate_expired", "error")]


def test_a_certificate_of_another_service_is_told_at_the_start(authority: Authority) -> None:
    shown = tls(authority, "audit")
    assert "auth.spin.internal" in (shown.unnamed(["auth", "audit"]) or "") and shown.unnamed(["audit"]) is None
    assert tls(authority, "all").unnamed(SERVICE_ROLES) is None


def test_a_key_of_another_certificate_is_told_at_the_start(authority: Authority) -> None:
    one, other = tls(authority, "auth"), tls(authority, "audit")
    values = {"SPIN_TLS_CERT": str(one.certificate), "SPIN_TLS_KEY": str(other.key), "SPIN_TLS_CA": str(one.authority)}
    with pytest.raises(SettingsInvalid) as caught:
        from_environment(values)
    assert "auth.pem" in str(caught.value) and "audit.key" in str(caught.value) and "PRIVATE" not in str(caught.value)


def test_the_development_authority_renews_what_ends_and_keeps_the_rest(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    first = authority.issue("auth").read_bytes()
    assert Authority.opened(authority.folder).issue("auth").read_bytes() == first
    assert (authority.folder / "auth.key").stat().st_mode & 0o077 == 0
    monkeypatch.setattr(authorities, "RENEW_DAYS", 91)
    assert authority.issue("auth").read_bytes() != first
    with pytest.raises(ValueError, match="no name"):
        authority.issue("../auth")
    assert authority.certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=3000)
    (authority.folder / "ca.key").write_bytes((authority.folder / "auth.key").read_bytes())
    with pytest.raises(ValueError, match=r"ca\.key is not the key of .*ca\.pem"):
        Authority.opened(authority.folder)
