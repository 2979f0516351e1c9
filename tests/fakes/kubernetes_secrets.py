"""A double of Kubernetes' API for reading secrets: TLS, bearer tokens, Status answers."""

import base64
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakes.local_certificate import local_certificate
from tests.fakes.web_double import WebDouble

TOKEN = "token-of-the-service-account"


class KubernetesSecretsDouble(WebDouble):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self.authority = folder, folder / "ca.pem"
        self.secrets: dict[str, dict[str, bytes]] = {}

    async def __aenter__(self) -> "KubernetesSecretsDouble":
        await self.start(self._answer, local_certificate(self._folder))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized", "Unauthorized")
        _, _, _, namespace, _, name = request.path.strip("/").split("/")
        if self.denied:
            return _status(
                403, "Forbidden", f'secrets "{name}" is forbidden: User "system:serviceaccount:spin:runtime" cannot get resource "secrets"'
            )
        found = self.secrets.get(f"{namespace}/{name}")
        if found is None:
            return _status(404, "NotFound", f'secrets "{name}" not found')
        data: dict[str, Any] = {key: base64.b64encode(value).decode() for key, value in found.items()}
        metadata = {"name": name, "namespace": namespace}
        return web.json_response({"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "data": data, "type": "Opaque"})


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code}
    return web.json_response(body, status=code)
