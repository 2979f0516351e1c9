"""Forged access tokens, at the gateway and, for whoever gets past it, at each service."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc
import jwt
import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import MemoryStore, Platform, SpinError
from spin_envelope.keys import SigningKey
from spin_services.platform import SERVICES
from spin_services.rpc.tokens import sign_jwt
from spinapis.auth.v1 import sign_in_pb2
from tests.fakes.every_method import OPTIONS, every_method, reason_of
from tests.fakes.stolen_keys import service_token, stolen

METHODS = {method.name: method for method in every_method()}
# One that any signed-in person may call, or nearly, of each service.
PROBES = {
    "auth": "SignInService/GetCurrentUser",
    "workspace": "WorkspaceService/ListWorkspaces",
    "compiler": "CompilerService/ListCellTypes",
    "secrets": "ConnectionService/ListConnections",
    "audit": "LogService/ListEntries",
}
HOUR_S = 3600
# Envoy answers a token for another audience with 403.
AT_THE_GATEWAY = ("UNAUTHENTICATED", "TOKEN_EXPIRED", "PERMISSION_DENIED")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Genuine:
    """A token of the owner's and what it says; forgeries start from it."""

    token: str = field(repr=False)
    claims: dict[str, Any]
    kid: str
    auth: SigningKey = field(repr=False)

    def with_header(self, header: dict[str, Any], signature: bytes = b"") -> str:
        return f"{b64(json.dumps(header).encode())}.{self.token.split('.')[1]}.{b64(signature)}"


@pytest.fixture
async def genuine(running: RunningPlatform, owner: Platform) -> Genuine:
    token = await owner.tokens.access_token()
    claims = jwt.decode(token, options={"verify_signature": False})
    return Genuine(token, claims, jwt.get_unverified_header(token)["kid"], stolen(running.settings, "auth"))


def hmac_with_public_key(genuine: Genuine) -> str:
    unsigned = genuine.with_header({"alg": "HS256", "typ": "JWT", "kid": genuine.kid}).rpartition(".")[0]
    return f"{unsigned}.{b64(hmac.new(genuine.auth.public, unsigned.encode(), hashlib.sha256).digest())}"


def by_another_key(genuine: Genuine) -> str:
    header, payload, _ = genuine.token.split(".")
    return f"{header}.{payload}.{b64(SigningKey.generate().sign(f'{header}.{payload}'.encode()))}"


def with_own_key_in_the_header(genuine: Genuine) -> str:
    key = SigningKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(key.public), "kid": key.key_id.hex()}
    unsigned = genuine.with_header({"alg": "EdDSA", "kid": key.key_id.hex(), "jwk": jwk}).rpartition(".")[0]
    return f"{unsigned}.{b64(key.sign(unsigned.encode()))}"


def claimed(genuine: Genuine, **claims: Any) -> str:
    """Signed by auth's own key, and still not to be believed: it was meant otherwise."""
    return sign_jwt(genuine.claims | claims, genuine.auth)


FORGERIES = {
    "alg none": lambda g: g.with_header({"alg": "none", "kid": g.kid}),
    "alg None in capitals": lambda g: g.with_header({"alg": "NONE", "kid": g.kid}),
    "HS256 with the public key": hmac_with_public_key,
    "another key": by_another_key,
    "its own key in the header": with_own_key_in_the_header,
    "no signature": lambda g: g.token.rpartition(".")[0] + ".",
    "one bit changed": lambda g: g.token[:-10] + ("A" if g.token[-10] != "A" else "B") + g.token[-9:],
    "expired an hour ago": lambda g: claimed(g, exp=int(time.time()) - HOUR_S),
    "issued in an hour": lambda g: claimed(g, iat=int(time.time()) + HOUR_S, exp=int(time.time()) + 2 * HOUR_S),
    "another audience": lambda g: claimed(g, aud="elsewhere"),
    "another issuer": lambda g: claimed(g, iss="http://evil.example"),
    "a service's key": lambda g: sign_jwt(g.claims, SigningKey.generate()),
    "no token": lambda g: "",
    "noise": lambda g: "eyJ.eyJ.eyJ",
}


@pytest.fixture
async def gateway(running: RunningPlatform) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"localhost:{running.settings.gateway_port}", options=OPTIONS) as channel:
        yield channel


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_token_at_the_gateway(running: RunningPlatform, genuine: Genuine, gateway: grpc.aio.Channel, name: str) -> None:
    token = FORGERIES[name](genuine)
    for probe in PROBES.values():
        method = METHODS[probe]
        assert await reason_of(method, gateway, method.request({"workspace_id": "0" * 32}), bearer(token)) in AT_THE_GATEWAY
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{running.settings.public_url}/v1/workspaces", headers={"authorization": f"Bearer {token}"}) as reply:
            assert reply.status in (401, 403)
        async with http.get(f"{running.settings.public_url}/v1/workspaces?access_token={token}") as reply:
            assert reply.status == 401


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_token_at_each_service(running: RunningPlatform, genuine: Genuine, name: str) -> None:
    """Whoever gets past the gateway stands before five more doors."""
    token = FORGERIES[name](genuine)
    for service in SERVICES:
        async with grpc.aio.insecure_channel(running.settings.service_address(service), options=OPTIONS) as channel:
            method = METHODS[PROBES[service]]
            request = method.request({"workspace_id": "0" * 32})
            assert await reason_of(method, channel, request, bearer(token)) in ("UNAUTHENTICATED", "TOKEN_EXPIRED"), service


async def test_a_genuine_token_passes_where_forged_ones_do_not(running: RunningPlatform, genuine: Genuine, gateway: grpc.aio.Channel) -> None:
    """Or else the tests above would show nothing."""
    method = METHODS[PROBES["auth"]]
    assert await reason_of(method, gateway, method.request({}), bearer(genuine.token)) == "OK"


@pytest.mark.parametrize("service", ["workspace", "compiler", "secrets", "audit"])
async def test_an_access_token_made_with_another_services_key(
    running: RunningPlatform, genuine: Genuine, gateway: grpc.aio.Channel, service: str
) -> None:
    """One service's key makes nobody a person."""
    token, method = sign_jwt(genuine.claims, stolen(running.settings, service)), METHODS[PROBES["auth"]]
    assert await reason_of(method, gateway, method.request({}), bearer(token)) == "UNAUTHENTICATED"
    for name in SERVICES:
        async with grpc.aio.insecure_channel(running.settings.service_address(name), options=OPTIONS) as channel:
            probe = METHODS[PROBES[name]]
            assert await reason_of(probe, channel, probe.request({"workspace_id": "0" * 32}), bearer(token)) == "UNAUTHENTICATED"


async def test_a_service_token_shown_as_an_access_token(running: RunningPlatform, gateway: grpc.aio.Channel) -> None:
    method = METHODS[PROBES["auth"]]
    for callee in ("auth", "spin"):
        token = service_token(stolen(running.settings, "auth"), "auth", callee)
        assert await reason_of(method, gateway, method.request({}), bearer(token)) == "UNAUTHENTICATED"


async def test_a_refresh_token_used_twice_ends_the_sign_in(running: RunningPlatform, tmp_path: Any) -> None:
    store = MemoryStore()
    url = running.settings.public_url
    async with await Platform.connect(url, store=store, pins=tmp_path) as victim:
        await victim.sign_in_with_link(running.new_token())
        stolen_token = victim.tokens.refresh_token
        thief = (await victim.sign_in.RefreshTokens(sign_in_pb2.RefreshTokensRequest(refresh_token=stolen_token))).tokens
        with pytest.raises(SpinError) as refused:
            await victim.sign_in.RefreshTokens(sign_in_pb2.RefreshTokensRequest(refresh_token=stolen_token))
        assert refused.value.reason == "REFRESH_REUSED"
        with pytest.raises(SpinError):
            await victim.sign_in.RefreshTokens(sign_in_pb2.RefreshTokensRequest(refresh_token=thief.refresh_token))


async def test_a_sign_in_link_used_twice(running: RunningPlatform, tmp_path: Any) -> None:
    token = running.new_token()
    for attempt in ("first", "second"):
        async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=tmp_path) as platform:
            if attempt == "first":
                await platform.sign_in_with_link(token)
            else:
                with pytest.raises(SpinError) as refused:
                    await platform.sign_in_with_link(token)
                assert refused.value.reason == "SIGN_IN_LINK_INVALID"
