"""Clients that show certificates to a runtime: over real TLS, with certificates of a CA of the test's own."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from scripts.certificates.authority import Authority
from spin_client.sdk.client_tls import ClientTls
from spin_client.sdk.errors import SpinError
from spin_client.sdk.wire import ConnectionLost, dial
from spin_runtime.broker.api import Status
from spin_runtime.server import gate
from spin_runtime.settings import SettingsInvalid
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.runtime_rig import Rig, running


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.opened(tmp_path / "certificates")


def shown(authority: Authority, name: str, vouched: Path | None = None) -> ClientTls:
    file = authority.issue(name)
    return ClientTls(vouched or authority.certificate_file, file, file.with_suffix(".key"))


@asynccontextmanager
async def runtime(folder: Path, authority: Authority, **variables: str) -> AsyncIterator[Rig]:
    certificate = authority.issue("runtime")
    files = {"SPIN_TLS_CERT": str(certificate), "SPIN_TLS_KEY": str(certificate.with_suffix(".key"))}
    # Unpaired, it answers whoever gets as far as to ask.
    async with running(folder / "home", paired=False, **files, SPIN_CLIENT_CA=str(authority.certificate_file), **variables) as rig:
        yield rig


async def first_answer(rig: Rig, tls: ClientTls) -> f.RuntimeFrame:
    wire = await dial(f"https://localhost:{rig.port}", tls)
    try:
        await wire.send(f.ClientFrame(pairing_start=f.PairingStart()))
        return await wire.receive(10)
    finally:
        await wire.close()


async def test_a_required_certificate_opens_the_door_and_its_absence_says_how(tmp_path: Path, authority: Authority) -> None:
    async with runtime(tmp_path, authority, SPIN_CLIENT_CERTIFICATES="required") as rig:
        assert (await first_answer(rig, shown(authority, "ops-laptop"))).WhichOneof("body") == "enrol_request"
        refused = (await first_answer(rig, ClientTls(authority.certificate_file))).error
        assert refused.reason == reasons_pb2.ERROR_REASON_ORIGIN_REFUSED
        assert "SPIN_CLIENT_CERT" in refused.message
        # What watches over the runtime has no certificate and learns nothing.
        async with aiohttp.ClientSession() as http, http.get(f"https://localhost:{rig.port}/healthz", ssl=context(authority)) as reply:
            assert reply.status == 200


async def test_a_certificate_of_another_authority_is_refused_in_the_handshake(tmp_path: Path, authority: Authority) -> None:
    other = Authority.opened(tmp_path / "elsewhere")
    async with runtime(tmp_path, authority) as rig:
        with pytest.raises((SpinError, ConnectionLost)):
            await first_answer(rig, shown(other, "ops-laptop", authority.certificate_file))


async def test_optional_certificates_leave_browsers_as_they_were(tmp_path: Path, authority: Authority) -> None:
    async with runtime(tmp_path, authority) as rig:
        assert (await first_answer(rig, ClientTls(authority.certificate_file))).WhichOneof("body") == "enrol_request"


def context(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.certificate_file))


@pytest.mark.parametrize(("peer", "certified", "let_in"), [("192.0.2.7", True, True), ("192.0.2.7", False, False), ("127.0.0.1", False, True)])
def test_off_its_own_machine_a_client_without_origin_needs_a_certificate(peer: str, certified: bool, let_in: bool) -> None:
    status = Status(True, b"", b"", b"", b"", 0, allowed_origins=("https://spin.example.org",), allowed_hosts=("runtime:8888",))
    refusal = gate.refusal((), ("runtime:8888",), peer, status, certified)
    assert (refusal is None) is let_in
    assert refusal is None or "SPIN_CLIENT_CA" in refusal


async def test_a_certificate_excuses_no_foreign_origin_and_no_rebound_host() -> None:
    status = Status(True, b"", b"", b"", b"", 0, allowed_origins=("https://spin.example.org",), allowed_hosts=("runtime:8888",))
    assert gate.refusal(("https://evil.example",), ("runtime:8888",), "192.0.2.7", status, True)
    assert gate.refusal((), ("evil.example:8888",), "192.0.2.7", status, True)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SPIN_CLIENT_CERTIFICATES": "required"}, "SPIN_CLIENT_CA names no file"),
        ({"SPIN_CLIENT_CA": "{ca}"}, "over https alone"),
        ({"SPIN_CLIENT_CA": "{home}/absent", "SPIN_TLS_CERT": "{cert}", "SPIN_TLS_KEY": "{key}"}, "no readable CA certificates"),
        ({"SPIN_CLIENT_CERTIFICATES": "sometimes"}, "SPIN_CLIENT_CERTIFICATES must be one of"),
    ],
    ids=["no CA", "http", "unreadable CA", "unknown"],
)
async def test_settings_that_cannot_work_are_told_at_the_start(tmp_path: Path, authority: Authority, variables: dict[str, str], named: str) -> None:
    cert = authority.issue("runtime")
    places = {"ca": authority.certificate_file, "cert": cert, "key": cert.with_suffix(".key"), "home": tmp_path}
    with pytest.raises(SettingsInvalid, match=named):
        async with running(tmp_path / "home", **{name: value.format(**places) for name, value in variables.items()}):
            pass


def test_a_client_key_of_another_certificate_is_told(authority: Authority) -> None:
    wrong = ClientTls(authority.certificate_file, authority.issue("one"), authority.issue("two").with_suffix(".key"))
    with pytest.raises(SpinError, match=r"one\.pem.*two\.key.*cannot be used together"):
        wrong.context()
    with pytest.raises(SpinError, match="needed together"):
        ClientTls(certificate=authority.issue("one")).context()
