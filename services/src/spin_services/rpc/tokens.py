"""Makes the JWTs that rpc/identity.py verifies.

Rules: EdDSA with the role's current key, named by `kid`; a service token says who calls (`iss`) and whom (`aud`), and is reused for half of its life.
"""

from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spin_envelope.keys import SigningKey
from spin_services.rpc.identity import SERVICE_TOKEN_S


def sign_jwt(claims: dict[str, Any], key: SigningKey) -> str:
    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    return jwt.encode(claims, private, algorithm="EdDSA", headers={"kid": key.key_id.hex()})


class ServiceTokens:
    """The tokens that one service shows to the others."""

    def __init__(self, service: str, key: Callable[[], SigningKey], clock: Callable[[], int]) -> None:
        self._service = service
        self._key = key
        self._clock = clock
        self._made: dict[str, tuple[int, bytes, str]] = {}

    def for_callee(self, callee: str) -> str:
        now, key = self._clock() // 1000, self._key()
        known = self._made.get(callee)
        if known and known[0] > now and known[1] == key.key_id:
            return known[2]
        token = sign_jwt({"iss": self._service, "aud": callee, "iat": now, "exp": now + SERVICE_TOKEN_S}, key)
        self._made[callee] = (now + SERVICE_TOKEN_S // 2, key.key_id, token)
        return token
