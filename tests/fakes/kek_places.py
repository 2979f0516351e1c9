"""Each place that a key-encryption key may be in, ready for a test, with what can happen to a key there."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import requests
from google.auth.credentials import AnonymousCredentials
from moto import settings as moto_settings
from moto.core.exceptions import JsonRESTError
from moto.kms.models import kms_backends
from moto.server import ThreadedMotoServer

from spin_services.keys.providers import KekProvider, open_provider
from spin_services.keys.providers.aws_kms import AwsKms
from spin_services.keys.providers.azure_key_vault import AzureKeyVault
from spin_services.keys.providers.gcp_kms import GcpKms
from spin_services.keys.providers.vault_transit import VaultAccess, VaultTransit
from tests.fakes.azure_key_vault import AzureKeyVaultDouble, StaticCredential
from tests.fakes.gcp_kms import GcpKmsDouble
from tests.fakes.vault_transit import TOKEN, VaultTransitDouble
from tests.fakes.web_double import WebDouble

LOCAL, REMOTE = ("file", "env"), ("aws", "gcp", "azure", "vault")
GCP_KEY = "projects/p/locations/global/keyRings/spin/cryptoKeys/kek"


@dataclass
class KekPlace:
    provider: KekProvider
    # The same place's other key, which is not there.
    absent: KekProvider
    rotate: Callable[[], Any] = field(default=lambda: None)
    disable: Callable[[], Any] = field(default=lambda: None)
    deny: Callable[[], Any] = field(default=lambda: None)
    go_away: Callable[[], Awaitable[Any]] | None = None


@asynccontextmanager
async def kek_place(kind: str, folder: Path) -> AsyncIterator[KekPlace]:
    async with PLACES[kind](folder) as place:
        try:
            yield place
        finally:
            await place.provider.close()
            await place.absent.close()


@asynccontextmanager
async def _file(folder: Path) -> AsyncIterator[KekPlace]:
    path = folder / "kek"
    path.write_text(os.urandom(32).hex())
    path.chmod(0o600)
    yield KekPlace(open_provider(f"file://{path}", {}), open_provider(f"file://{folder}/none", {}))


@asynccontextmanager
async def _env(folder: Path) -> AsyncIterator[KekPlace]:
    environment = {"KEK": os.urandom(32).hex()}
    yield KekPlace(open_provider("env:KEK", environment), open_provider(f"file://{folder}/none", {}))


@asynccontextmanager
async def _aws(folder: Path) -> AsyncIterator[KekPlace]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url, identity = f"http://{host}:{port}", {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    kms = boto3.client("kms", region_name="eu-west-1", endpoint_url=url, **identity)
    try:
        key = kms.create_key()["KeyMetadata"]["KeyId"]

        def made(name: str) -> AwsKms:
            return AwsKms(f"aws-kms://eu-west-1/{name}", "eu-west-1", name, endpoint_url=url, **identity)

        async def go_away() -> None:
            server.stop()

        def disable() -> None:
            kms.disable_key(KeyId=key)
            # moto goes on decrypting; AWS answers this.
            for backend in kms_backends["123456789012"].values():
                backend.decrypt = refused_as_disabled

        yield KekPlace(
            made(key),
            made("00000000-0000-0000-0000-000000000000"),
            lambda: kms.rotate_key_on_demand(KeyId=key),
            disable,
            # From now on moto checks credentials and policies, and these have none.
            lambda: requests.post(f"{url}/moto-api/reset-auth", data="0", timeout=5),
            go_away,
        )
    finally:
        kms.close()
        moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        server.stop()
        kms_backends.reset()


@asynccontextmanager
async def _gcp(folder: Path) -> AsyncIterator[KekPlace]:
    async with GcpKmsDouble(GCP_KEY) as double:

        def made(name: str) -> GcpKms:
            return GcpKms(f"gcp-kms://{name}", name, host=f"127.0.0.1:{double.port}", credentials=AnonymousCredentials(), url_scheme="http")

        yield _place(double, made(GCP_KEY), made(f"{GCP_KEY}-none"), double.rotate)


@asynccontextmanager
async def _azure(folder: Path) -> AsyncIterator[KekPlace]:
    async with AzureKeyVaultDouble("kek", folder) as double:
        options: dict[str, Any] = {"credential": StaticCredential(), "verify_challenge_resource": False, "connection_verify": str(double.authority)}
        url = f"https://127.0.0.1:{double.port}"

        def made(name: str) -> AzureKeyVault:
            return AzureKeyVault(f"azure-key-vault://127.0.0.1/{name}", url, name, **options)

        yield _place(double, made("kek"), made("none"), double.rotate)


@asynccontextmanager
async def _vault(folder: Path) -> AsyncIterator[KekPlace]:
    async with VaultTransitDouble("transit", "kek") as double:
        (folder / "token").write_text(f"{TOKEN}\n")
        access = VaultAccess(f"http://127.0.0.1:{double.port}", folder / "token")

        def made(name: str) -> VaultTransit:
            return VaultTransit(f"vault-transit://transit/{name}", access, "transit", name)

        yield _place(double, made("kek"), made("none"), double.rotate)


def _place(double: WebDouble, provider: KekProvider, absent: KekProvider, rotate: Callable[[], None]) -> KekPlace:
    return KekPlace(provider, absent, rotate, lambda: setattr(double, "disabled", True), lambda: setattr(double, "denied", True), double.stop)


def refused_as_disabled(*_: object, **__: object) -> Any:
    raise JsonRESTError("DisabledException", "The key is disabled.")


PLACES = {"file": _file, "env": _env, "aws": _aws, "gcp": _gcp, "azure": _azure, "vault": _vault}
