"""Who calls.

Rules: a person or a machine shows an access token (JWT, EdDSA, signed by auth's key); a service shows its own token as well (signed by its
role's key, for this callee, 60 s). Both are verified inside every service against the RootDocument's keys; verified tokens are
kept by digest until they expire. No algorithm but EdDSA exists here, and the key is found by `kid` among the role's own keys alone.
"""

import hashlib
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from spin_envelope.root import TrustedRoot
from spin_services.platform import SERVICES
from spin_services.rpc.errors import ErrorReason, ServiceError
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.envelope.v1.trust_pb2 import Role

AUDIENCE = "spin"
USER_METADATA = "authorization"
SERVICE_METADATA = "x-spin-service"
ACCESS_TOKEN_S = 600
SERVICE_TOKEN_S = 60
CLOCK_LEEWAY_S = 5
CACHE_SIZE = 20_000
MAXIMUM_TOKEN = 8192

SERVICE_ROLES: dict[str, Role.ValueType] = {name: Role.Value(f"ROLE_{name.upper()}") for name in SERVICES}


@dataclass(frozen=True)
class Caller:
    """Empty strings where a part is missing: no user in a call that a service makes for itself, no service when a user calls."""

    user_id: str = ""
    # The calling service, when a service calls.
    service: str = ""
    # In the workspace of the request; MEMBER_ROLE_UNSPECIFIED when the method needs none.
    role: MemberRole.ValueType = MemberRole.MEMBER_ROLE_UNSPECIFIED
    # The workspace of the request, once its permission has been checked.
    workspace_id: str = ""
    # Who acts for the user, outermost first, such as "api_key:<id>".
    actor_chain: tuple[str, ...] = ()
    access_token: str = ""
    kind: Literal["person", "api_key"] = "person"
    # The sign-in, or the API key, that the token belongs to.
    session_id: str = ""
    # An API key's workspace: it may not act in any other.
    bound_workspace_id: str = ""
    is_admin: bool = False
    token_expires_s: int = 0

    def at(self, workspace_id: str, role: MemberRole.ValueType) -> "Caller":
        return replace(self, workspace_id=workspace_id, role=role)


_current: ContextVar[Caller | None] = ContextVar("spin_caller", default=None)


def current_caller() -> Caller:
    """The caller of the RPC being served; an empty one in background work."""
    return _current.get() or Caller()


def set_caller(caller: Caller) -> None:
    _current.set(caller)


class TokenVerifier:
    """Verifies tokens for one service; `root` is asked each time, so that rotated keys count at once."""

    def __init__(self, service: str, issuer: str, root: Callable[[], TrustedRoot], clock: Callable[[], int]) -> None:
        self._service = service
        self._issuer = issuer
        self._root = root
        self._clock = clock
        self._callers: dict[bytes, tuple[int, bytes, Caller]] = {}
        self._services: dict[bytes, tuple[int, bytes, str]] = {}

    def user(self, token: str) -> Caller:
        """The caller that an access token names. Raises UNAUTHENTICATED or TOKEN_EXPIRED."""
        digest, now, root = hashlib.sha256(token.encode()).digest(), self._clock() // 1000, self._root()
        known = self._callers.get(digest)
        if known and known[0] > now and known[1] == root.digest:
            return known[2]
        claims = _claims(token, root, Role.ROLE_AUTH, AUDIENCE, self._issuer, now)
        caller = _caller(token, claims)
        _remember(self._callers, digest, (caller.token_expires_s, root.digest, caller))
        return caller

    def service(self, token: str) -> str:
        """The name of the service that a service token is from. Raises UNAUTHENTICATED."""
        digest, now, root = hashlib.sha256(token.encode()).digest(), self._clock() // 1000, self._root()
        known = self._services.get(digest)
        if known and known[0] > now and known[1] == root.digest:
            return known[2]
        name = _unverified_issuer(token)
        role = SERVICE_ROLES.get(name)
        if role is None:
            raise _unauthenticated()
        claims = _claims(token, root, role, self._service, name, now)
        _remember(self._services, digest, (int(claims["exp"]), root.digest, name))
        return name


def bearer(value: str) -> str:
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > MAXIMUM_TOKEN:
        raise _unauthenticated()
    return token


def _claims(token: str, root: TrustedRoot, role: Role.ValueType, audience: str, issuer: str, now_s: int) -> dict[str, Any]:
    try:
        key_id = jwt.get_unverified_header(token).get("kid", "")
        keys = [key for key in root.keys(role) if key.key_id.hex() == key_id]
        if not keys:
            raise _unauthenticated()
        options: Any = {"require": ["exp", "iat", "iss", "aud"], "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        public = Ed25519PublicKey.from_public_bytes(keys[0].public)
        claims: dict[str, Any] = jwt.decode(token, public, algorithms=["EdDSA"], audience=audience, issuer=issuer, options=options)
        expires, issued = int(claims["exp"]), int(claims["iat"])
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        raise _unauthenticated() from None
    if expires <= now_s:
        raise ServiceError(ErrorReason.ERROR_REASON_TOKEN_EXPIRED)
    if issued > now_s + CLOCK_LEEWAY_S:
        raise _unauthenticated()
    return claims


def _caller(token: str, claims: dict[str, Any]) -> Caller:
    kind, actors = claims.get("kind"), claims.get("act", [])
    if kind not in ("person", "api_key") or not claims.get("sub") or not claims.get("sid") or not isinstance(actors, list):
        raise _unauthenticated()
    return Caller(
        user_id=str(claims["sub"]),
        actor_chain=tuple(str(actor) for actor in actors),
        access_token=token,
        kind=kind,
        session_id=str(claims["sid"]),
        bound_workspace_id=str(claims.get("wid", "")),
        is_admin=claims.get("adm") is True,
        token_expires_s=int(claims["exp"]),
    )


def _unverified_issuer(token: str) -> str:
    try:
        return str(jwt.decode(token, options={"verify_signature": False, "verify_exp": False, "verify_aud": False, "verify_iat": False}).get("iss"))
    except (jwt.PyJWTError, ValueError):
        raise _unauthenticated() from None


def _remember(cache: dict[bytes, Any], digest: bytes, entry: Any) -> None:
    if len(cache) >= CACHE_SIZE:
        # Oldest first: dictionaries keep the order of insertion.
        for old in list(cache)[: CACHE_SIZE // 10]:
            del cache[old]
    cache[digest] = entry


def _unauthenticated() -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_UNAUTHENTICATED)
