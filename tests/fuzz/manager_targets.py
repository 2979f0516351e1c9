"""What the broker reads of secret managers: the operator's file, and answers, by the vendors' own SDKs from a server that says anything."""

import asyncio
import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from google.auth.credentials import AnonymousCredentials

from spin_runtime.broker.known import KnownSecrets
from spin_runtime.broker.managers import configuration, gcp
from spin_runtime.broker.managers.aws import AwsParameterStore, AwsSecretsManager
from spin_runtime.broker.managers.azure import AzureKeyVault
from spin_runtime.broker.managers.gcp import GcpSecretManager
from spin_runtime.broker.managers.interface import ManagerFailed, Secret
from spin_runtime.broker.managers.kinds import WhenUsed
from spin_runtime.broker.managers.kubernetes import KubernetesSecrets
from spin_runtime.broker.managers.leases import Bounds
from spin_runtime.broker.managers.references import select, texts_in
from spin_runtime.broker.managers.vault import Vault
from tests.fakes.local_certificate import local_certificate
from tests.fuzz.runtime_targets import finished, loop
from tests.fuzz.target import Target, text_of

STATUSES = (200, 200, 200, 400, 401, 403, 404, 302)
BOUNDS = Bounds(timeout_s=2.0)
AWS_IDENTITY = {"AWS_ACCESS_KEY_ID": "fuzz", "AWS_SECRET_ACCESS_KEY": "fuzz", "AWS_EC2_METADATA_DISABLED": "true"}


class Speaker:
    """A server that gives one answer to everything, with TLS and without."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spin-fuzz-"))
        self.status, self.body = 200, b""
        tls = local_certificate(self.folder)
        self.servers = [loop().run_until_complete(asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=context)) for context in (None, tls)]
        self.plain, self.secure = (f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in self.servers)
        atexit.register(shutil.rmtree, self.folder)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
            await reader.readexactly(int(lengths[0]) if lengths else 0)
            told = f"HTTP/1.1 {self.status} Told\r\nContent-Type: application/json\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
            writer.write(told.encode() + self.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)


@cache
def speaker() -> Speaker:
    return Speaker()


@cache
def managers() -> Mapping[str, tuple[Any, str]]:
    """With a path in each."""
    said = speaker()
    token, plain = said.file("token", "t" * 20), f"http://{said.plain}"
    auth = {"method": "token", "token_file": token}
    approle = {"method": "approle", "role_id": "r", "secret_id_file": token}
    aws = {"region": "eu-west-1", "endpoint": plain}
    made = {
        "vault_kv2": (Vault({"address": plain, "auth": auth, "kv2": ["kv"]}, BOUNDS, {}), "kv/a"),
        "vault": (Vault({"address": plain, "auth": auth}, BOUNDS, {}), "database/creds/a"),
        "vault_login": (Vault({"address": plain, "auth": approle}, BOUNDS, {}), "kv/a"),
        "aws_secrets_manager": (AwsSecretsManager(aws, BOUNDS, {}), "a"),
        "aws_ssm": (AwsParameterStore(aws, BOUNDS, {}), "a"),
        "gcp": (_gcp(plain), "a"),
        "azure": (_azure(said), "a"),
        "kubernetes": (KubernetesSecrets({"address": plain, "token_file": token}, BOUNDS, {}), "spin/a"),
    }
    return {name: (_at_the_border(manager), path) for name, (manager, path) in made.items()}


def _at_the_border(manager: Any) -> WhenUsed:
    whole = WhenUsed(configuration.ManagerConfiguration("m", "vault", (), BOUNDS), {}, KnownSecrets())
    whole._manager = manager
    return whole


def _gcp(endpoint: str) -> GcpSecretManager:
    """Connected here: the substitute for its credentials must not outlast this call, for the sake of whoever uses the module afterwards."""
    manager = GcpSecretManager({"project": "p", "endpoint": endpoint, "credentials_file": speaker().file("gcp", '{"type": "anonymous"}')}, BOUNDS, {})
    with mock.patch.object(gcp, "_credentials", lambda _: AnonymousCredentials()):  # type: ignore[no-untyped-call]
        manager._connected()
    return manager


def _azure(said: Speaker) -> AzureKeyVault:
    options = {"vault_url": f"https://{said.secure}", "ca_file": str(said.folder / "ca.pem")}
    manager = AzureKeyVault(options, BOUNDS, {}, verify_challenge_resource=False)

    async def nothing(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(token="t", expires_on=1 << 40)

    manager._credential = lambda: SimpleNamespace(get_token=nothing, close=nothing)  # type: ignore[method-assign]
    return manager


def answer(name: str) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        """The first byte is the status."""
        said, (manager, path) = speaker(), managers()[name]
        said.status, said.body = STATUSES[(data[0] if data else 0) % len(STATUSES)], data[1:]

        async def ask() -> None:
            secret = await manager.read(path, "")
            texts_in(secret)
            select(secret, "k")

        with mock.patch.dict(os.environ, AWS_IDENTITY):
            finished(ask())

    return check


def managers_file(data: bytes) -> None:
    faults = list(configuration._read(data, {}))
    if not faults:
        for name, value in json.loads(data)["managers"].items():
            made = configuration._manager(name, value)
            assert (made.name, made.kind) == (name, value["kind"])
            assert len(made.rules) == len(value["allow"])


def value(data: bytes) -> None:
    """The first line is the key."""
    key, _, content = text_of(data).partition("\n")
    texts_in(Secret(content))
    select(Secret(content), key)


def _files() -> list[bytes]:
    kinds: tuple[dict[str, Any], ...] = (
        {"kind": "vault", "address": "https://v.example", "kv2": ["secret"], "auth": {"method": "token", "token_file": "/t"}},
        {"kind": "aws_ssm", "region": "eu-west-1"},
        {"kind": "runtime_env", "keep_s": 5, "timeout_s": 1.5},
        {"kind": "gcp_secret_manager", "project": 7},
    )
    allow = ["secret/*", {"path": "a", "hosts": ["h:1"], "expose": True}]
    made = [json.dumps({"managers": {"m": kind | {"allow": allow}}}).encode() for kind in kinds]
    return [*made, b'{"managers": {"m": 1, "m": 2}}', b"[" * 4000, b'{"managers": []}', b"9" * 5000]


def _seeds(*bodies: Any) -> Callable[[], list[bytes]]:
    shared = (None, [], 1, "x", {}, {"data": None}, {"errors": ["e"]}, {"error": {"code": 403, "message": "m", "status": "S"}})
    return lambda: (
        [bytes([status]) + json.dumps(body).encode() for body in (*bodies, *shared) for status in (0, 3, 6)] + [b"", b"\0[" * 20, b"\0\xff"]
    )


VAULT = {"lease_id": "l", "lease_duration": 9, "renewable": True, "data": {"k": "v"}}
LOGIN = {"auth": {"client_token": "t", "lease_duration": 9, "renewable": True}}
ANSWERS: Mapping[str, tuple[Any, ...]] = {
    "vault_kv2": ({"data": {"data": {"k": "v"}, "metadata": {"version": 1}}}, {"data": {"data": None, "metadata": {"deletion_time": "x"}}}),
    "vault": (VAULT, VAULT | {"data": "x"}, VAULT | {"lease_duration": "much"}),
    "vault_login": (LOGIN, {"auth": None}, {"auth": {"client_token": 1, "lease_duration": "x"}}),
    "aws_secrets_manager": ({"SecretString": "v"}, {"SecretBinary": "dg=="}, {"SecretBinary": "?"}, {"__type": "ResourceNotFoundException"}),
    "aws_ssm": ({"Parameter": {"Value": "v"}}, {"Parameter": None}, {"Parameter": {"Value": 7}}),
    "gcp": ({"payload": {"data": "dg=="}}, {"payload": {"data": "?"}}, {"payload": 1}),
    "azure": ({"value": "v", "id": "https://v/secrets/a/1", "attributes": {"created": 1}}, {"value": 1, "id": 2}, {"id": "x"}),
    "kubernetes": ({"data": {"k": "dg=="}}, {"data": {"k": "?"}}, {"data": {"k": 1}}),
}

TARGETS = (
    Target("managers.file", managers_file, (), _files),
    Target("managers.value", value, (ManagerFailed,), lambda: [b"k\n" + text for text in (b'{"k": "v"}', b'{"k": 1e400}', b"[" * 4000, b"9" * 5000)]),
    *(Target(f"managers.{name}", answer(name), (ManagerFailed,), _seeds(*bodies)) for name, bodies in ANSWERS.items()),
)
