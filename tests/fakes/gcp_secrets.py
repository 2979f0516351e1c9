"""A double of Secret Manager's REST API (secrets.versions.access) and of Google's token endpoint, with google.rpc errors."""

import base64
import json
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.web_double import WebDouble

TOKEN = "ya29.token-of-the-test"
PROJECT = "project-of-the-test"


class GcpSecretsDouble(WebDouble):
    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, list[bytes]] = {}

    async def __aenter__(self) -> "GcpSecretsDouble":
        await self.start(self._answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def credentials_file(self, folder: Path) -> Path:
        """A service account's, whose tokens this double gives out."""
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "1",
            "private_key": pem,
            "client_email": f"spin@{PROJECT}.iam.gserviceaccount.com",
            "token_uri": f"http://127.0.0.1:{self.port}/token",
        }
        path = folder / "service-account.json"
        path.write_text(json.dumps(account))
        return path

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path == "/token":
            form = await request.post()
            if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" or not form.get("assertion"):
                return web.json_response({"error": "invalid_grant"}, status=400)
            return web.json_response({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        name = request.path.removeprefix("/v1/").removesuffix(":access")
        if self.denied:
            return _error(403, "PERMISSION_DENIED", f"Permission 'secretmanager.versions.access' denied for resource '{name}' (or it may not exist).")
        return self._accessed(name)

    def _accessed(self, name: str) -> web.Response:
        _, project, _, secret, _, version = name.split("/")
        versions = self.secrets.get(secret, [])
        number = len(versions) if version == "latest" else int(version)
        if project != PROJECT or not 1 <= number <= len(versions):
            return _error(404, "NOT_FOUND", f"Secret Version [{name}] not found.")
        data = base64.b64encode(versions[number - 1]).decode()
        return web.json_response({"name": f"projects/1/secrets/{secret}/versions/{number}", "payload": {"data": data}})


def _error(code: int, status: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message, "status": status}}, status=code)
