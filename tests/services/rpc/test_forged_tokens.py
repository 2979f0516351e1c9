"""Tokens that must not be believed, tried over real gRPC and between neighbours."""

import base64
import hmac
import json
from hashlib import sha256
from typing import Any

import pytest

from spin_envelope.keys import SigningKey
from spin_services.rpc.identity import SERVICE_METADATA, USER_METADATA
from spin_services.rpc.tokens import sign_jwt
from spinapis.envelope.v1.trust_pb2 import Role
from tests.fakes.installation import ORIGIN, Installation, refused

pytestmark = pytest.mark.parametrize("way", ["socket", "door"], indirect=True)
USER = "b2" * 16


def claims(installation: Installation, **changes: Any) -> dict[str, Any]:
    now = installation.clock() // 1000
    body = {"iss": ORIGIN, "aud": "spin", "sub": USER, "sid": "0" * 32, "kind": "person", "iat": now, "exp": now + 600}
    return body | changes


def raw(header: dict[str, Any], body: dict[str, Any], signature: bytes) -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return ".".join([part(json.dumps(header).encode()), part(json.dumps(body).encode()), part(signature)])


def user(token: str) -> Any:
    return ((USER_METADATA, f"Bearer {token}"),)


async def test_a_good_token_is_believed(served: Any, installation: Installation) -> None:
    await served.list(installation.as_user(USER))
    assert served.probe.callers[0].user_id == USER


async def test_no_token(served: Any) -> None:
    with refused() as refusal:
        await served.list(())
    assert refusal.reason == "UNAUTHENTICATED"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
async def test_algorithm_none(served: Any, installation: Installation, algorithm: str) -> None:
    kid = installation.keys.role_key(Role.ROLE_AUTH).key_id.hex()
    with refused() as refusal:
        await served.list(user(raw({"alg": algorithm, "typ": "JWT", "kid": kid}, claims(installation), b"")))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_hs256_with_the_public_key_as_the_secret(served: Any, installation: Installation) -> None:
    key = installation.keys.role_key(Role.ROLE_AUTH)
    unsigned = raw({"alg": "HS256", "typ": "JWT", "kid": key.key_id.hex()}, claims(installation), b"").removesuffix(".")
    signature = base64.urlsafe_b64encode(hmac.digest(key.public, unsigned.encode(), sha256)).rstrip(b"=").decode()
    with refused() as refusal:
        await served.list(user(f"{unsigned}.{signature}"))
    assert refusal.reason == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"aud": "compiler"}, "UNAUTHENTICATED"),
        ({"aud": ["other"]}, "UNAUTHENTICATED"),
        ({"iss": "https://evil.example.org"}, "UNAUTHENTICATED"),
        ({"exp": 1}, "TOKEN_EXPIRED"),
        ({"exp": "soon"}, "UNAUTHENTICATED"),
        ({"iat": 9_999_999_999}, "UNAUTHENTICATED"),
        ({"sub": ""}, "UNAUTHENTICATED"),
        ({"sid": ""}, "UNAUTHENTICATED"),
        ({"kind": "service"}, "UNAUTHENTICATED"),
    ],
)
async def test_wrong_claims(served: Any, installation: Installation, change: dict[str, Any], reason: str) -> None:
    with refused() as refusal:
        await served.list(user(sign_jwt(claims(installation, **change), installation.keys.role_key(Role.ROLE_AUTH))))
    assert refusal.reason == reason


@pytest.mark.parametrize("missing", ["exp", "iat", "iss", "aud", "sub", "sid", "kind"])
async def test_missing_claims(served: Any, installation: Installation, missing: str) -> None:
    body = claims(installation)
    del body[missing]
    with refused() as refusal:
        await served.list(user(sign_jwt(body, installation.keys.role_key(Role.ROLE_AUTH))))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_a_key_of_another_role_signs_no_access_token(served: Any, installation: Installation) -> None:
    with refused() as refusal:
        await served.list(user(sign_jwt(claims(installation), installation.keys.role_key(Role.ROLE_COMPILER))))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_a_stranger_with_our_key_id_signs_no_access_token(served: Any, installation: Installation) -> None:
    stranger = SigningKey.generate()
    stranger.key_id = installation.keys.role_key(Role.ROLE_AUTH).key_id
    with refused() as refusal:
        await served.list(user(sign_jwt(claims(installation), stranger)))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_one_changed_claim_of_a_verified_token(served: Any, installation: Installation) -> None:
    token = installation.access_token(USER)
    await served.list(user(token))
    header, _, signature = token.split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims(installation, sub="c3" * 16)).encode()).rstrip(b"=").decode()
    with refused() as refusal:
        await served.list(user(f"{header}.{body}.{signature}"))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_a_verified_token_is_not_kept_beyond_its_time(served: Any, installation: Installation) -> None:
    metadata = installation.as_user(USER)
    await served.list(metadata)
    installation.clock.advance(601)
    with refused() as refusal:
        await served.list(metadata)
    assert refusal.reason == "TOKEN_EXPIRED"


async def test_a_service_token_is_no_access_token(served: Any, installation: Installation) -> None:
    ((_, service_token),) = installation.as_service("auth", "compiler")
    with refused() as refusal:
        await served.list(((USER_METADATA, service_token),))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_an_access_token_is_no_service_token(served: Any, installation: Installation) -> None:
    with refused() as refusal:
        await served.append(((SERVICE_METADATA, f"Bearer {installation.access_token(USER)}"),))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_a_service_token_for_another_callee(served: Any, installation: Installation) -> None:
    with refused() as refusal:
        await served.append(installation.as_service("auth", "secrets"))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_a_service_token_under_another_services_key(served: Any, installation: Installation) -> None:
    now = installation.clock() // 1000
    token = sign_jwt({"iss": "auth", "aud": "compiler", "iat": now, "exp": now + 60}, installation.keys.role_key(Role.ROLE_SECRETS))
    with refused() as refusal:
        await served.append(((SERVICE_METADATA, f"Bearer {token}"),))
    assert refusal.reason == "UNAUTHENTICATED"


@pytest.mark.parametrize("value", ["", "Bearer", "Basic abc", "Bearer " + "x" * 9000, "Bearer a.b.c"])
async def test_rubbish(served: Any, value: str) -> None:
    with refused() as refusal:
        await served.list(((USER_METADATA, value),))
    assert refusal.reason == "UNAUTHENTICATED"
