"""A double of Vault's HTTP API for reading secrets: KV version 1 and 2, an engine that makes users of a database with leases, logins by AppRole and
by Kubernetes, tokens with a life, sys/leases. Its clock is the test's; its errors are Vault's."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.web_double import WebDouble

ROLE_ID, SECRET_ID, ROLE, JWT = "role-of-the-test", "secret-id-of-the-test", "spin", "jwt.of.the-test"
STATIC_TOKEN = "hvs.static-token-of-the-test"


@dataclass
class Lease:
    until: float
    token: str
    # It cannot be prolonged beyond.
    last: float


@dataclass
class VaultState:
    kv1: dict[str, dict[str, Any]] = field(default_factory=dict)
    kv2: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)
    made: int = 0


class VaultSecretsDouble(WebDouble):
    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__()
        self.clock, self.state = clock, VaultState()
        self.token_s, self.lease_s, self.longest_s = 3600.0, 3600.0, 7200.0
        self.logins, self.namespaces = 0, set[str]()

    async def __aenter__(self) -> "VaultSecretsDouble":
        await self.start(self._answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def revoke_tokens(self) -> None:
        self.state.tokens.clear()

    async def _answer(self, request: web.Request) -> web.Response:
        self.namespaces.add(request.headers.get("X-Vault-Namespace", ""))
        path = request.path.removeprefix("/v1/")
        body = json.loads(await request.read() or b"{}")
        if path in ("auth/approle/login", "auth/kubernetes/login"):
            return self._login(path, body)
        token = request.headers.get("X-Vault-Token", "")
        if token != STATIC_TOKEN and self.state.tokens.get(token, -1.0) <= self.clock():
            return _errors(403, "permission denied", "invalid token")
        match path.split("/"):
            case ["auth", "token", "renew-self"]:
                self.state.tokens[token] = self.clock() + self.token_s
                return _auth(token, self.token_s)
            case ["auth", "token", "revoke-self"]:
                self._end(token)
                return web.Response(status=204)
            case ["sys", "leases", "renew"]:
                return self._renew(body["lease_id"])
            case ["sys", "leases", "revoke"]:
                self.state.leases.pop(body["lease_id"], None)
                self.state.revoked.append(body["lease_id"])
                return web.Response(status=204)
        if self.denied:
            return _errors(403, "1 error occurred:\n\t* permission denied\n\n")
        return self._read(path, token, request.query.get("version", ""))

    def _login(self, path: str, body: dict[str, Any]) -> web.Response:
        good = {"role_id": ROLE_ID, "secret_id": SECRET_ID} if "approle" in path else {"role": ROLE, "jwt": JWT}
        if body != good:
            return _errors(400, "invalid role or secret ID") if "approle" in path else _errors(403, "permission denied")
        self.logins += 1
        token = f"hvs.{secrets.token_hex(12)}"
        self.state.tokens[token] = self.clock() + self.token_s
        return _auth(token, self.token_s)

    def _read(self, path: str, token: str, version: str) -> web.Response:
        mount, _, rest = path.partition("/")
        if mount == "secret" and rest.startswith("data/"):
            return self._kv2(rest.removeprefix("data/"), version)
        if mount == "kv" and rest in self.state.kv1:
            # The lease of KV version 1 is a hint for how often to look again.
            return _answer(200, _envelope(self.state.kv1[rest], lease_duration=2764800))
        if path == "database/creds/reader":
            return self._database(token)
        return _answer(404, {"errors": []})

    def _kv2(self, name: str, version: str) -> web.Response:
        versions = self.state.kv2.get(name, [])
        number = int(version or len(versions))
        if not 1 <= number <= len(versions):
            return _answer(404, {"errors": []})
        found = versions[number - 1]
        metadata = {"version": number, "destroyed": False, "deletion_time": "" if found is not None else "2026-01-01T00:00:00Z", "created_time": "…"}
        return _answer(404 if found is None else 200, _envelope({"data": found, "metadata": metadata}))

    def _database(self, token: str) -> web.Response:
        self.state.made += 1
        lease_id = f"database/creds/reader/{secrets.token_hex(8)}"
        self.state.leases[lease_id] = Lease(self.clock() + self.lease_s, token, self.clock() + self.longest_s)
        data = {"username": f"v-reader-{self.state.made}", "password": f"password-number-{self.state.made}"}
        return _answer(200, _envelope(data, lease_id=lease_id, lease_duration=int(self.lease_s), renewable=True))

    def _renew(self, lease_id: str) -> web.Response:
        lease = self.state.leases.get(lease_id)
        if lease is None or lease.until <= self.clock():
            return _errors(400, "lease not found")
        lease.until = min(self.clock() + self.lease_s, lease.last)
        return _answer(200, _envelope(None, lease_id=lease_id, lease_duration=int(lease.until - self.clock()), renewable=True))

    def _end(self, token: str) -> None:
        self.state.tokens.pop(token, None)
        for lease_id in [lease_id for lease_id, lease in self.state.leases.items() if lease.token == token]:
            del self.state.leases[lease_id]
            self.state.revoked.append(lease_id)


def _envelope(data: Any, *, lease_id: str = "", lease_duration: int = 0, renewable: bool = False, auth: Any = None) -> dict[str, Any]:
    return {
        "request_id": "0",
        "lease_id": lease_id,
        "renewable": renewable,
        "lease_duration": lease_duration,
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": auth,
    }


def _auth(token: str, lasts: float) -> web.Response:
    auth = {"client_token": token, "accessor": "a", "policies": ["default"], "lease_duration": int(lasts), "renewable": True, "token_type": "service"}
    return _answer(200, _envelope(None, auth=auth))


def _errors(status: int, *texts: str) -> web.Response:
    return _answer(status, {"errors": list(texts)})


def _answer(status: int, body: dict[str, Any]) -> web.Response:
    """Vault names no charset, and hvac looks at the whole header."""
    return web.Response(body=json.dumps(body).encode(), status=status, headers={"Content-Type": "application/json"})
