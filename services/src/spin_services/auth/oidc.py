"""Signing in at an OpenID Connect provider (authorization code flow with PKCE).

Rules: the provider's own metadata says where everything is and must name the configured issuer; state, nonce and PKCE verifier are ours,
random, single use and kept on our side; an ID token counts only with an asymmetric signature by the provider's keys, for our client, with
our nonce; whatever goes wrong is OIDC_FAILED to the caller, and the cause is logged.
"""

import base64
import hashlib
import json
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
import jwt
import structlog

from spin_services.auth.settings import LOOPBACK, OidcProvider
from spin_services.rpc.errors import ErrorReason, ServiceError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
TIMEOUT_S = 8.0
ANSWER_MAXIMUM = 512 * 1024
# A packed answer is as long as its sender likes once it is unpacked.
HEADERS = {"accept": "application/json", "accept-encoding": "identity"}
METADATA_KEPT_S = 3600
LEEWAY_S = 60
# OpenID Connect Core, section 2.
SUBJECT_MAXIMUM = 255

log = structlog.get_logger("spin.oidc")


@dataclass(frozen=True)
class Person:
    """Whom the provider vouches for."""

    subject: str
    email: str
    email_verified: bool
    name: str


@dataclass(frozen=True)
class Attempt:
    """What must be remembered between the two halves."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Attempt":
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


@dataclass(frozen=True)
class Answer:
    """What the browser brought back; `issuer` is empty where the provider sent none."""

    code: str
    issuer: str


class ProviderFailed(Exception):
    """The cause, for the log."""


class OidcClient:
    """One configured provider."""

    def __init__(self, provider: OidcProvider) -> None:
        self.provider = provider
        self._http = httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, headers=HEADERS)
        self._metadata: tuple[float, dict[str, Any]] = (0.0, {})
        self._keys: jwt.PyJWKSet | None = None

    async def close(self) -> None:
        await self._http.aclose()

    async def authorization_url(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where to send the browser. Raises OIDC_FAILED."""
        try:
            endpoint = (await self._discovered())["authorization_endpoint"]
        except (ProviderFailed, httpx.HTTPError, KeyError) as error:
            self._refuse(error)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": self.provider.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def person(self, answer: Answer, nonce: str, verifier: str, redirect_uri: str) -> Person:
        """Trades the code and verifies whom it stands for. Raises OIDC_FAILED."""
        try:
            await self._check_issuer(answer)
            tokens = await self._exchange(answer.code, verifier, redirect_uri)
            claims = await self._verified(str(tokens.get("id_token", "")), nonce)
            if not claims.get("email"):
                claims = await self._with_userinfo(claims, str(tokens.get("access_token", "")))
        except (ProviderFailed, httpx.HTTPError, jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
            self._refuse(error)
        if not claims["sub"] or len(str(claims["sub"])) > SUBJECT_MAXIMUM:
            self._refuse(ProviderFailed("an ID token about nobody"))
        name = str(claims.get("name") or claims.get("preferred_username") or "")[:100]
        return Person(str(claims["sub"]), str(claims.get("email") or ""), claims.get("email_verified") is True, name)

    async def _discovered(self) -> dict[str, Any]:
        read_at, metadata = self._metadata
        if not metadata or time.monotonic() - read_at > METADATA_KEPT_S:
            metadata = await self._answer("GET", f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration")
            if metadata.get("issuer") != self.provider.issuer:
                raise ProviderFailed("its metadata names another issuer")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                _check_address(str(metadata.get(name, "")))
            self._metadata = (time.monotonic(), metadata)
        return metadata

    async def _check_issuer(self, answer: Answer) -> None:
        """RFC 9207, section 2.4: a code that another provider gave out must not reach this one's token endpoint."""
        told = (await self._discovered()).get("authorization_response_iss_parameter_supported") is True
        if (told or answer.issuer) and answer.issuer != self.provider.issuer:
            raise ProviderFailed("the answer is another issuer's, or names none")

    async def _exchange(self, code: str, verifier: str, redirect_uri: str) -> dict[str, Any]:
        metadata, provider = await self._discovered(), self.provider
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        basic: httpx.Auth | None = None
        if provider.client_secret and "client_secret_basic" in methods:
            # RFC 6749, section 2.3.1: both are form-encoded first.
            basic = httpx.BasicAuth(quote_plus(provider.client_id), quote_plus(provider.client_secret))
        else:
            form |= {"client_id": provider.client_id} | ({"client_secret": provider.client_secret} if provider.client_secret else {})
        return await self._answer("POST", metadata["token_endpoint"], data=form, auth=basic or httpx.USE_CLIENT_DEFAULT)

    async def _verified(self, id_token: str, nonce: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(id_token)
        if header.get("alg") not in ALGORITHMS:
            raise ProviderFailed("an ID token with a symmetric signature, or none")
        claims: dict[str, Any] = jwt.decode(
            id_token,
            await self._key(str(header.get("kid") or "")),
            algorithms=[header["alg"]],
            audience=self.provider.client_id,
            issuer=self.provider.issuer,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        if not secrets.compare_digest(str(claims.get("nonce", "")), nonce):
            raise ProviderFailed("an ID token for another sign-in")
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != self.provider.client_id:
            raise ProviderFailed("an ID token for another client")
        return claims

    async def _key(self, kid: str) -> jwt.PyJWK:
        """The provider's key. The set is read again when it lacks one, and for a token that names none: the provider itself gave out that
        token a moment ago, so nobody else can make us ask more often than people sign in.
        """
        found = _find(self._keys, kid) if kid else None
        if found is None:
            self._keys = jwt.PyJWKSet.from_dict(await self._answer("GET", (await self._discovered())["jwks_uri"]))
            found = _find(self._keys, kid)
        if found is None:
            raise ProviderFailed("an ID token by a key that it does not publish")
        return found

    async def _with_userinfo(self, claims: dict[str, Any], access_token: str) -> dict[str, Any]:
        endpoint = (await self._discovered()).get("userinfo_endpoint")
        if not endpoint or not access_token:
            return claims
        _check_address(str(endpoint))
        more = await self._answer("GET", endpoint, headers={"authorization": f"Bearer {access_token}"})
        if more.get("sub") != claims["sub"]:
            raise ProviderFailed("userinfo about someone else")
        return more | claims

    async def _answer(self, method: str, url: str, **request: Any) -> dict[str, Any]:
        """Read no further than an answer may be long, whatever the provider sends."""
        async with self._http.stream(method, url, **request) as answer:
            if (encoding := answer.headers.get("content-encoding", "identity")).lower() != "identity":
                raise ProviderFailed(f"it answered packed ({encoding[:40]!r}), and was asked not to: turn compression off for these addresses")
            content = bytearray()
            async for part in answer.aiter_raw():
                content += part
                if len(content) > ANSWER_MAXIMUM:
                    raise ProviderFailed("it answered too much")
            return _json_object(answer.status_code, bytes(content))

    def _refuse(self, error: Exception) -> NoReturn:
        log.warning("oidc_failed", provider=self.provider.id, error=type(error).__name__, cause=str(error)[:300])
        raise ServiceError(ErrorReason.ERROR_REASON_OIDC_FAILED, provider=self.provider.id) from error


def _json_object(status: int, content: bytes) -> dict[str, Any]:
    if status != 200:
        # Such as invalid_grant; what else an answer may say is not for a log.
        code = re.search(rb'"error"\s*:\s*"(\w{1,60})"', content)
        raise ProviderFailed(f"it answered {status}{f' {code[1].decode()}' if code else ''}")
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ProviderFailed("it answered no JSON object")
    return value


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ProviderFailed("its metadata names an address without TLS")


def _find(keys: jwt.PyJWKSet | None, kid: str) -> jwt.PyJWK | None:
    if keys is None:
        return None
    usable = [key for key in keys.keys if key.public_key_use in (None, "sig")]
    if not kid:
        return usable[0] if len(usable) == 1 else None
    return next((key for key in usable if key.key_id == kid), None)
