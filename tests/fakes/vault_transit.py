"""A double of Vault's transit engine: /v1/{mount}/encrypt/{key} and /decrypt/{key}, with tokens, versions and Vault's errors. Real AES-GCM inside."""

import base64
import json
import os
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.fakes.web_double import WebDouble

TOKEN = "hvs.token-of-the-test"


class VaultTransitDouble(WebDouble):
    """The token's policy allows `update`, so an unknown key cannot be made by encrypting with it. Disabled: older versions may not decrypt."""

    def __init__(self, mount: str, key: str) -> None:
        super().__init__()
        self.mount, self.key = mount, key
        self.versions = [AESGCM.generate_key(256)]

    async def __aenter__(self) -> "VaultTransitDouble":
        await self.start(self._answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def rotate(self) -> None:
        self.versions.append(AESGCM.generate_key(256))

    async def _answer(self, request: web.Request) -> web.Response:
        mount, verb, key = request.path.removeprefix("/v1/").rsplit("/", 2)
        unknown = (mount, key) != (self.mount, self.key)
        if self.denied or request.headers.get("X-Vault-Token") != TOKEN or (unknown and verb == "encrypt"):
            return _errors(403, "1 error occurred:\n\t* permission denied\n\n")
        if unknown:
            return _errors(400, "encryption key not found")
        body = await request.json()
        aad = base64.b64decode(body.get("associated_data", ""))
        return self._encrypt(body, aad) if verb == "encrypt" else self._decrypt(body, aad)

    def _encrypt(self, body: dict[str, Any], aad: bytes) -> web.Response:
        nonce, version = os.urandom(12), len(self.versions)
        sealed = nonce + AESGCM(self.versions[-1]).encrypt(nonce, base64.b64decode(body["plaintext"]), aad)
        return _data(ciphertext=f"vault:v{version}:{base64.b64encode(sealed).decode()}", key_version=version)

    def _decrypt(self, body: dict[str, Any], aad: bytes) -> web.Response:
        parts = str(body["ciphertext"]).split(":")
        if len(parts) != 3 or parts[0] != "vault" or not parts[1].startswith("v"):
            return _errors(400, "invalid ciphertext: no prefix")
        if self.disabled:
            return _errors(400, "ciphertext or signature version is disallowed by policy (too old)")
        try:
            sealed = base64.b64decode(parts[2], validate=True)
            plaintext = AESGCM(self.versions[int(parts[1][1:]) - 1]).decrypt(sealed[:12], sealed[12:], aad)
        except (InvalidTag, IndexError, ValueError):
            return _errors(400, "cipher: message authentication failed")
        return _data(plaintext=base64.b64encode(plaintext).decode())


def _data(**fields: Any) -> web.Response:
    envelope = {"request_id": "0", "lease_id": "", "renewable": False, "lease_duration": 0, "wrap_info": None, "warnings": None, "auth": None}
    return _answer(200, envelope | {"data": fields})


def _errors(status: int, text: str) -> web.Response:
    return _answer(status, {"errors": [text]})


def _answer(status: int, body: dict[str, Any]) -> web.Response:
    """Vault names no charset, and hvac looks at the whole header."""
    return web.Response(body=json.dumps(body).encode(), status=status, headers={"Content-Type": "application/json"})
