"""A double of Cloud KMS's REST API: cryptoKeys.encrypt and .decrypt, with versions and google.rpc errors. Real AES-GCM inside."""

import base64
import os
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.fakes.web_double import WebDouble


class GcpKmsDouble(WebDouble):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.versions = [AESGCM.generate_key(256)]

    async def __aenter__(self) -> "GcpKmsDouble":
        await self.start(self._answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def rotate(self) -> None:
        """Makes a new primary version; the older stay enabled."""
        self.versions.append(AESGCM.generate_key(256))

    async def _answer(self, request: web.Request) -> web.Response:
        name, _, verb = request.path.removeprefix("/v1/").rpartition(":")
        if self.denied:
            return _error(403, "PERMISSION_DENIED", f"Permission denied on resource '{name}' (or it may not exist).")
        if name != self.name:
            return _error(404, "NOT_FOUND", f"CryptoKey {name} not found.")
        if self.disabled:
            return _error(400, "FAILED_PRECONDITION", f"{name}/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.")
        body = await request.json()
        aad = base64.b64decode(body.get("additionalAuthenticatedData", ""))
        return self._encrypt(body, aad) if verb == "encrypt" else self._decrypt(body, aad)

    def _encrypt(self, body: dict[str, Any], aad: bytes) -> web.Response:
        version, nonce = len(self.versions), os.urandom(12)
        sealed = AESGCM(self.versions[-1]).encrypt(nonce, base64.b64decode(body["plaintext"]), aad)
        ciphertext = base64.b64encode(bytes([version]) + nonce + sealed).decode()
        return web.json_response({"name": f"{self.name}/cryptoKeyVersions/{version}", "ciphertext": ciphertext, "protectionLevel": "SOFTWARE"})

    def _decrypt(self, body: dict[str, Any], aad: bytes) -> web.Response:
        sealed = base64.b64decode(body["ciphertext"])
        try:
            plaintext = AESGCM(self.versions[sealed[0] - 1]).decrypt(sealed[1:13], sealed[13:], aad)
        except (InvalidTag, IndexError, ValueError):
            return _error(400, "INVALID_ARGUMENT", "Decryption failed: the ciphertext is invalid.")
        return web.json_response({"plaintext": base64.b64encode(plaintext).decode(), "usedPrimary": sealed[0] == len(self.versions)})


def _error(code: int, status: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message, "status": status}}, status=code)
