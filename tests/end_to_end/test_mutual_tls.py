"""The whole platform with certificates between its gateway and its services (SPIN_MTLS=true), and who stays outside."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.certificates.authority import Authority
from scripts.platform.apart import RunningPlatform, start_apart
from spin_client.sdk import MemoryStore, Platform
from spin_services.rpc.certificates import Certificates, Tls, dns_name
from tests.fakes.extra_runtime import workspace_named


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    # It starts by running the sample notebook: through Envoy, which shows its certificate to each service.
    platform = start_apart(tmp_path_factory.mktemp("secured"), SPIN_MTLS="true")
    yield platform
    assert platform.stop() == 0


async def healthy(channel: grpc.aio.Channel) -> bool:
    async with channel:
        return bool((await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)).status)


def shown(folder: Path, name: str) -> Certificates:
    tls = Tls(folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")
    return Certificates(tls.certificate.read_bytes(), tls.key.read_bytes(), tls.authority.read_bytes())


async def test_people_work_as_ever(secured: RunningPlatform, tmp_path: Path) -> None:
    async with await Platform.connect(secured.settings.public_url, store=MemoryStore(), pins=tmp_path) as owner:
        await owner.sign_in_with_link(secured.link)
        assert await workspace_named(owner, "Sample")


@pytest.mark.parametrize("service", ["auth", "workspace", "compiler", "secrets", "audit"])
async def test_nobody_reaches_a_service_but_with_a_certificate_of_its_authority(secured: RunningPlatform, tmp_path: Path, service: str) -> None:
    address, folder = secured.settings.service_address(service), secured.settings.certificates
    assert await healthy(shown(folder, "gateway").channel(service, address))
    authority = (folder / "ca.pem").read_bytes()
    options = [("grpc.ssl_target_name_override", dns_name(service))]
    stranger = Authority.opened(tmp_path / "other").issue("gateway")
    foreign = grpc.ssl_channel_credentials(authority, stranger.with_suffix(".key").read_bytes(), stranger.read_bytes())
    outside = [
        grpc.aio.insecure_channel(address),
        grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authority), options=options),
        grpc.aio.secure_channel(address, foreign, options=options),
    ]
    for channel in outside:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await healthy(channel)
        assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def test_keys_are_their_owners_alone(secured: RunningPlatform) -> None:
    keys = list(secured.settings.certificates.glob("*.key"))
    assert {key.name for key in keys} == {"ca.key", "all.key", "gateway.key"}
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)
