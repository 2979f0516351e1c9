"""Makes tokens: access tokens (JWT, 10 minutes), refresh tokens, links.

Rules: an access token is signed with auth's current key and names its sign-in, which can be revoked; a refresh token is random, kept as a
digest and good for one use.
"""

import secrets
from collections.abc import Callable
from typing import Any

from spin_services.auth import domain
from spin_services.auth.settings import Settings
from spin_services.auth.store import Accounts
from spin_services.auth.store.accounts import Rotation
from spin_services.auth.tables import ApiKeyRow, SignInRow, UserRow
from spin_services.keys import KeyStore
from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.rpc.identity import ACCESS_TOKEN_S, AUDIENCE
from spin_services.rpc.tokens import sign_jwt
from spinapis.auth.v1.sign_in_pb2 import Tokens
from spinapis.envelope.v1.trust_pb2 import Role

DAY_MS = 24 * 3600 * 1000
LINK_LIFE_MS = DAY_MS
REFRESH_PREFIX, LINK_PREFIX, API_KEY_PREFIX = "spr1.", "spl1.", "spk1."


def new_secret(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


class Issuer:
    def __init__(self, accounts: Accounts, keys: KeyStore, settings: Settings, public_url: str, clock: Callable[[], int]) -> None:
        self._accounts = accounts
        self._keys = keys
        self._settings = settings
        self._public_url = public_url
        self._clock = clock

    async def sign_in(self, user: UserRow) -> Tokens:
        """A new family of tokens."""
        now = self._clock()
        sign_in = SignInRow(id=domain.new_id(), user_id=user.id, created_at_ms=now, expires_at_ms=now + self._settings.sign_in_days * DAY_MS)
        refresh = new_secret(REFRESH_PREFIX)
        await self._accounts.begin_sign_in(sign_in, refresh, now + self._settings.refresh_days * DAY_MS)
        return self._tokens(user, sign_in.id, refresh)

    async def refresh(self, token: str) -> tuple[Tokens | None, str]:
        """New tokens; or None and the sign-in that was revoked because the token came twice. Raises UNAUTHENTICATED."""
        now, successor = self._clock(), new_secret(REFRESH_PREFIX)
        rotated = await self._accounts.rotate(token, successor, now, now + self._settings.refresh_days * DAY_MS)
        if rotated.outcome is Rotation.REUSED:
            return None, rotated.sign_in_id
        if rotated.outcome is Rotation.UNKNOWN or rotated.user is None:
            raise ServiceError(ErrorReason.ERROR_REASON_UNAUTHENTICATED)
        return self._tokens(rotated.user, rotated.sign_in_id, successor), ""

    def for_api_key(self, key: ApiKeyRow) -> Tokens:
        """Acts for the key's creator, in the key's workspace alone."""
        extra = {"kind": "api_key", "act": [f"api_key:{key.id}"], "wid": key.workspace_id}
        token, expires = self._access(key.created_by, key.id, extra, key.expires_at_ms)
        return Tokens(access_token=token, access_expires_at_ms=expires)

    async def link(self, user_id: str, life_ms: int = LINK_LIFE_MS) -> str:
        """A one-time link's token."""
        token = new_secret(LINK_PREFIX)
        await self._accounts.add_link(token, user_id, self._clock() + life_ms)
        return token

    def _tokens(self, user: UserRow, sign_in_id: str, refresh: str) -> Tokens:
        extra: dict[str, Any] = {"kind": "person"} | ({"adm": True} if user.is_admin else {})
        token, expires = self._access(user.id, sign_in_id, extra)
        return Tokens(access_token=token, refresh_token=refresh, access_expires_at_ms=expires)

    def _access(self, user_id: str, sid: str, extra: dict[str, Any], latest_ms: int = 0) -> tuple[str, int]:
        now_s = self._clock() // 1000
        expires_s = min(now_s + ACCESS_TOKEN_S, latest_ms // 1000 or now_s + ACCESS_TOKEN_S)
        claims = {"iss": self._public_url, "aud": AUDIENCE, "sub": user_id, "sid": sid, "jti": domain.new_id(), "iat": now_s, "exp": expires_s}
        return sign_jwt(claims | extra, self._keys.role_key(Role.ROLE_AUTH)), expires_s * 1000
