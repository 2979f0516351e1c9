"""A double of Key Vault's REST API for secrets, with the bearer challenge, and of Entra ID's token endpoint that the challenge leads to."""

import secrets
from pathlib import Path

from aiohttp import web

from tests.fakes.local_certificate import local_certificate
from tests.fakes.web_double import WebDouble

TENANT, CLIENT, CLIENT_SECRET = "72f988bf-86f1-41af-91ab-2d7cd011db47", "client-of-the-test", "client-secret-of-the-test"
TOKEN = "token-of-the-test"


class AzureSecretsDouble(WebDouble):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self.authority = folder, folder / "ca.pem"
        # Of each secret, its values by version, in their order.
        self.secrets: dict[str, dict[str, str]] = {}

    async def __aenter__(self) -> "AzureSecretsDouble":
        await self.start(self._answer, local_certificate(self._folder))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def put(self, name: str, value: str) -> str:
        version = secrets.token_hex(16)
        self.secrets.setdefault(name, {})[version] = value
        return version

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path.startswith(f"/{TENANT}/"):
            return await self._entra(request)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            challenge = f'Bearer authorization="{self.url}/{TENANT}", resource="https://vault.azure.net"'
            return _error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", {"WWW-Authenticate": challenge})
        if self.denied:
            return _error(403, "Forbidden", "Caller is not authorized to perform action on resource.")
        _, name, version = [*request.path.strip("/").split("/"), ""][:3]
        versions = self.secrets.get(name, {})
        version = version or next(reversed(versions), "")
        if version not in versions:
            return _error(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        attributes = {"enabled": True, "created": 1, "updated": 1}
        return web.json_response({"value": versions[version], "id": f"{self.url}/secrets/{name}/{version}", "attributes": attributes})

    async def _entra(self, request: web.Request) -> web.Response:
        if request.path.endswith("/.well-known/openid-configuration"):
            base = f"{self.url}/{TENANT}"
            return web.json_response(
                {"issuer": f"{base}/v2.0", "authorization_endpoint": f"{base}/oauth2/v2.0/authorize", "token_endpoint": f"{base}/oauth2/v2.0/token"}
            )
        form = await request.post()
        if (form.get("client_id"), form.get("client_secret"), form.get("scope")) != (CLIENT, CLIENT_SECRET, "https://vault.azure.net/.default"):
            return web.json_response({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}, status=401)
        return web.json_response({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN})


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)
