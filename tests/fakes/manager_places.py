"""Each kind of secret manager, ready for a test, with what can happen to a secret there."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from moto import settings as moto_settings
from moto.secretsmanager.models import secretsmanager_backends
from moto.server import ThreadedMotoServer
from moto.ssm.models import ssm_backends

from spin_runtime.broker.managers.aws import AwsParameterStore, AwsSecretsManager
from spin_runtime.broker.managers.azure import AzureKeyVault
from spin_runtime.broker.managers.gcp import GcpSecretManager
from spin_runtime.broker.managers.interface import Manager, ManagerFailed
from spin_runtime.broker.managers.kubernetes import KubernetesSecrets
from spin_runtime.broker.managers.leases import Bounds
from spin_runtime.broker.managers.local import Files, RuntimeEnvironment
from spin_runtime.broker.managers.vault import Vault
from tests.fakes.azure_secrets import CLIENT, CLIENT_SECRET, TENANT, AzureSecretsDouble
from tests.fakes.gcp_secrets import PROJECT, GcpSecretsDouble
from tests.fakes.kubernetes_secrets import TOKEN, KubernetesSecretsDouble
from tests.fakes.vault_secrets import JWT, ROLE, ROLE_ID, SECRET_ID, STATIC_TOKEN, VaultSecretsDouble
from tests.fakes.web_double import WebDouble

REMOTE = (
    "vault_kv2_approle",
    "vault_kv1_kubernetes",
    "vault_kv2_token",
    "aws_secrets_manager",
    "aws_ssm",
    "gcp_secret_manager",
    "azure_key_vault",
    "kubernetes",
)
LOCAL = ("runtime_env", "file")


@dataclass
class ManagerPlace:
    manager: Manager
    path: str
    absent: str
    # Puts a text, or an object, at the path; returns its version, "" where there are none.
    put: Callable[[Any], str]
    deny: Callable[[], Any] = field(default=lambda: None)
    lose_identity: Callable[[], Any] = field(default=lambda: None)
    go_away: Callable[[], Awaitable[Any]] = field(default=lambda: asyncio.sleep(0))
    # Makes answers "slow" or "large"; gives the manager that meets them.
    trouble: Callable[[str], Manager] | None = None


@asynccontextmanager
async def manager_place(kind: str, folder: Path, bounds: Bounds) -> AsyncIterator[ManagerPlace]:
    async with PLACES[kind](folder, bounds) as place:
        try:
            yield place
        finally:
            with contextlib.suppress(ManagerFailed):
                await place.manager.close()


@asynccontextmanager
async def _vault(method: str, mount: str, folder: Path, bounds: Bounds) -> AsyncIterator[ManagerPlace]:
    async with VaultSecretsDouble() as double:
        identity = folder / "identity"
        identity.write_text({"approle": SECRET_ID, "kubernetes": JWT, "token": STATIC_TOKEN}[method] + "\n")
        auth = {
            "approle": {"method": "approle", "role_id": ROLE_ID, "secret_id_file": str(identity)},
            "kubernetes": {"method": "kubernetes", "role": ROLE, "token_file": str(identity)},
            "token": {"method": "token", "token_file": str(identity)},
        }[method]
        options = {"address": double.address, "namespace": "team", "kv2": ["secret"], "auth": auth}

        def put(value: Any) -> str:
            members = value if isinstance(value, dict) else {"value": value}
            if mount == "kv":
                double.state.kv1["app"] = members
                return ""
            versions = double.state.kv2.setdefault("app", [])
            versions.append(members)
            return str(len(versions))

        def lose_identity() -> None:
            identity.write_text("nobody")
            double.revoke_tokens()

        yield _place(double, Vault(options, bounds, {}), f"{mount}/app", f"{mount}/none", put, lose_identity)


@asynccontextmanager
async def _aws(kind: str, folder: Path, bounds: Bounds) -> AsyncIterator[ManagerPlace]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    identity = {"region_name": "eu-west-1", "aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    make = AwsSecretsManager if kind == "secretsmanager" else AwsParameterStore
    client = boto3.client(kind, endpoint_url=url, **identity)

    def put(value: Any) -> str:
        text = json.dumps(value) if isinstance(value, dict) else value
        if kind == "ssm":
            return str(client.put_parameter(Name="/spin/app", Value=text, Type="SecureString", Overwrite=True)["Version"])
        try:
            return str(client.create_secret(Name="spin/app", SecretString=text)["VersionId"])
        except client.exceptions.ResourceExistsException:
            return str(client.put_secret_value(SecretId="spin/app", SecretString=text)["VersionId"])

    async def go_away() -> None:
        server.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        async with WebDouble() as double:
            troubled = make({"region": "eu-west-1", "endpoint": f"http://127.0.0.1:{double.port}"}, bounds, {})

            def trouble(what: str) -> Manager:
                double.trouble = what
                return troubled

            def lose_identity() -> None:
                patch.delenv("AWS_ACCESS_KEY_ID")
                patch.delenv("AWS_SECRET_ACCESS_KEY")

            # From the request on, moto checks credentials and policies, and these have none.
            def deny() -> None:
                requests.post(f"{url}/moto-api/reset-auth", data="0", timeout=5)

            path = "/spin/app" if kind == "ssm" else "spin/app"
            manager = make({"region": "eu-west-1", "endpoint": url}, bounds, {})
            try:
                yield ManagerPlace(manager, path, f"{path}-none", put, deny, lose_identity, go_away, trouble)
            finally:
                await troubled.close()
                client.close()
                moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
                server.stop()
                secretsmanager_backends.reset()
                ssm_backends.reset()


@asynccontextmanager
async def _gcp(folder: Path, bounds: Bounds) -> AsyncIterator[ManagerPlace]:
    async with GcpSecretsDouble() as double:
        file = double.credentials_file(folder)
        options = {"project": PROJECT, "credentials_file": str(file), "endpoint": f"http://127.0.0.1:{double.port}"}

        def put(value: Any) -> str:
            versions = double.secrets.setdefault("app", [])
            versions.append(_bytes(value))
            return str(len(versions))

        yield _place(double, GcpSecretManager(options, bounds, {}), "app", "none", put, lambda: file.write_text("{}"))


@asynccontextmanager
async def _azure(folder: Path, bounds: Bounds) -> AsyncIterator[ManagerPlace]:
    async with AzureSecretsDouble(folder) as double:
        secret = folder / "client-secret"
        secret.write_text(CLIENT_SECRET)
        identity = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret_file": str(secret), "authority": f"127.0.0.1:{double.port}"}
        options = {"vault_url": double.url, "ca_file": str(double.authority), "identity": identity}
        # The address of the double is none of Azure's.
        manager = AzureKeyVault(options, bounds, {}, verify_challenge_resource=False, disable_instance_discovery=True)
        yield _place(double, manager, "app", "none", lambda value: double.put("app", _bytes(value).decode()), lambda: secret.write_text("nobody"))


@asynccontextmanager
async def _kubernetes(folder: Path, bounds: Bounds) -> AsyncIterator[ManagerPlace]:
    async with KubernetesSecretsDouble(folder) as double:
        token = folder / "token"
        token.write_text(TOKEN)
        options = {"address": f"https://127.0.0.1:{double.port}", "ca_file": str(double.authority), "token_file": str(token)}

        def put(value: Any) -> str:
            members = value if isinstance(value, dict) else {"value": value}
            double.secrets["spin/app"] = {key: _bytes(member) for key, member in members.items()}
            return ""

        manager = KubernetesSecrets(options, bounds, {})
        yield _place(double, manager, "spin/app", "spin/none", put, lambda: token.write_text("nobody"))


@asynccontextmanager
async def _environment(folder: Path, bounds: Bounds) -> AsyncIterator[ManagerPlace]:
    environment: dict[str, str] = {}

    def put(value: Any) -> str:
        environment["APP"] = _bytes(value).decode(errors="surrogateescape")
        return ""

    yield ManagerPlace(RuntimeEnvironment({}, bounds, environment), "APP", "NONE", put)


@asynccontextmanager
async def _file(folder: Path, bounds: Bounds) -> AsyncIterator[ManagerPlace]:
    def put(value: Any) -> str:
        (folder / "app").write_bytes(_bytes(value) + b"\n")
        return ""

    yield ManagerPlace(Files({"root": str(folder)}, bounds, {}), "app", "none", put)


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return (json.dumps(value) if isinstance(value, dict) else str(value)).encode()


def _place(double: WebDouble, manager: Manager, path: str, absent: str, put: Callable[[Any], str], lose_identity: Callable[[], Any]) -> ManagerPlace:
    def trouble(what: str) -> Manager:
        double.trouble = what
        return manager

    return ManagerPlace(manager, path, absent, put, lambda: setattr(double, "denied", True), lose_identity, double.stop, trouble)


PLACES: dict[str, Any] = {
    "vault_kv2_approle": partial(_vault, "approle", "secret"),
    "vault_kv1_kubernetes": partial(_vault, "kubernetes", "kv"),
    "vault_kv2_token": partial(_vault, "token", "secret"),
    "aws_secrets_manager": partial(_aws, "secretsmanager"),
    "aws_ssm": partial(_aws, "ssm"),
    "gcp_secret_manager": _gcp,
    "azure_key_vault": _azure,
    "kubernetes": _kubernetes,
    "runtime_env": _environment,
    "file": _file,
}
