"""A double of Key Vault's REST API: get key, wrapkey, unwrapkey; TLS, the bearer challenge, versions, Azure's errors. Real RSA inside."""

import base64
import secrets
import time
from pathlib import Path
from typing import Any

from aiohttp import web
from azure.core.credentials import AccessToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.fakes.local_certificate import local_certificate
from tests.fakes.web_double import WebDouble

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
TOKEN = "token-of-the-test"


class StaticCredential:
    """What azure-identity gives: a token for the scope that the challenge named."""

    def __init__(self) -> None:
        self.scopes: set[str] = set()

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes.update(scopes)
        return AccessToken(TOKEN, int(time.time()) + 3600)

    async def close(self) -> None:
        return None

    async def __aenter__(self) -> "StaticCredential":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class AzureKeyVaultDouble(WebDouble):
    def __init__(self, name: str, folder: Path) -> None:
        super().__init__()
        self.name = name
        self.authority = folder / "ca.pem"
        self._folder = folder
        self.versions: dict[str, rsa.RSAPrivateKey] = {}
        self.rotate()

    async def __aenter__(self) -> "AzureKeyVaultDouble":
        await self.start(self._answer, local_certificate(self._folder))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def rotate(self) -> None:
        self.versions[secrets.token_hex(16)] = rsa.generate_private_key(65537, 2048)

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            challenge = 'Bearer authorization="https://login.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47", resource="https://vault.azure.net"'
            return _error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", headers={"WWW-Authenticate": challenge})
        if self.denied:
            return _error(403, "Forbidden", "The user, group or application does not have permission.", inner="ForbiddenByPolicy")
        _, name, version, verb = [*request.path.strip("/").split("/"), "", ""][:4]
        version = version or next(reversed(self.versions))
        if name != self.name or version not in self.versions:
            return _error(404, "KeyNotFound", f"A key with (name/id) {name} was not found in this key vault.")
        if request.method == "GET":
            return web.json_response({"key": self._public(version), "attributes": {"enabled": not self.disabled, "created": 1, "updated": 1}})
        if self.disabled:
            return _error(403, "Forbidden", "Operation is not allowed on a disabled key.", inner="KeyDisabled")
        return self._operate(version, verb, await request.json())

    def _operate(self, version: str, verb: str, body: dict[str, str]) -> web.Response:
        key, value = self.versions[version], _bytes(body["value"])
        if body["alg"] != "RSA-OAEP-256":
            return _error(400, "BadParameter", "Key and encryption algorithm do not match.")
        try:
            done = key.decrypt(value, OAEP) if verb == "unwrapkey" else key.public_key().encrypt(value, OAEP)
        except ValueError:
            return _error(400, "BadParameter", "The parameter is incorrect.")
        return web.json_response({"kid": self._kid(version), "value": _text(done)})

    def _kid(self, version: str) -> str:
        return f"https://127.0.0.1:{self.port}/keys/{self.name}/{version}"

    def _public(self, version: str) -> dict[str, Any]:
        numbers = self.versions[version].public_key().public_numbers()
        n, e = numbers.n.to_bytes(256), numbers.e.to_bytes(3)
        return {"kid": self._kid(version), "kty": "RSA", "key_ops": ["wrapKey", "unwrapKey"], "n": _text(n), "e": _text(e)}


def _error(status: int, code: str, message: str, *, inner: str = "", headers: dict[str, str] | None = None) -> web.Response:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return web.json_response({"error": error}, status=status, headers=headers)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
