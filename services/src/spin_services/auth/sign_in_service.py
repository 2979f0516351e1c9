"""SignInService: convert, call, convert."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from spin_services.auth import domain, wire
from spin_services.auth.issuer import API_KEY_PREFIX
from spin_services.auth.oidc import Answer, Attempt, OidcClient
from spin_services.auth.settings import Settings
from spin_services.auth.sign_in import SignIn
from spin_services.auth.store import Members
from spin_services.auth.tables import OidcStateRow
from spin_services.keys import KeyStore
from spin_services.rpc.errors import ErrorReason, ServiceError, invalid, not_found
from spin_services.rpc.identity import current_caller
from spinapis.auth.v1 import sign_in_pb2 as pb
from spinapis.auth.v1.sign_in_pb2_grpc import SignInServiceServicer
from spinapis.envelope.v1.trust_pb2 import Role

STATE_LIFE_MS = 10 * 60 * 1000


class SignInService(SignInServiceServicer):
    def __init__(
        self, sign_in: SignIn, members: Members, keys: KeyStore, settings: Settings, oidc: Mapping[str, OidcClient], clock: Callable[[], int]
    ) -> None:
        self._sign_in = sign_in
        self._members = members
        self._keys = keys
        self._settings = settings
        self._oidc = oidc
        self._clock = clock

    async def ListSignInMethods(self, request: pb.ListSignInMethodsRequest, context: Any) -> pb.ListSignInMethodsResponse:
        providers = [pb.OidcProvider(id=provider.id, display_name=provider.display_name) for provider in self._settings.oidc]
        return pb.ListSignInMethodsResponse(password=self._settings.password_sign_in, oidc_providers=providers)

    async def RedeemSignInLink(self, request: pb.RedeemSignInLinkRequest, context: Any) -> pb.RedeemSignInLinkResponse:
        tokens, user = await self._sign_in.by_link(request.token)
        return pb.RedeemSignInLinkResponse(tokens=tokens, user=wire.user(user))

    async def SignInWithPassword(self, request: pb.SignInWithPasswordRequest, context: Any) -> pb.SignInWithPasswordResponse:
        if not self._settings.password_sign_in:
            raise ServiceError(ErrorReason.ERROR_REASON_CREDENTIALS_INVALID, "Passwords are turned off here: choose another way to sign in.")
        tokens, user = await self._sign_in.by_password(request.email, request.password)
        return pb.SignInWithPasswordResponse(tokens=tokens, user=wire.user(user))

    async def SetPassword(self, request: pb.SetPasswordRequest, context: Any) -> pb.SetPasswordResponse:
        await self._sign_in.set_password(current_caller(), request.old_password, request.new_password)
        return pb.SetPasswordResponse()

    async def StartOidcSignIn(self, request: pb.StartOidcSignInRequest, context: Any) -> pb.StartOidcSignInResponse:
        client = self._client(request.provider_id)
        if request.redirect_uri not in client.provider.redirect_uris:
            raise invalid("redirect_uri", "This redirect address is not configured for the provider.")
        attempt = Attempt.new()
        url = await client.authorization_url(attempt, request.redirect_uri)
        row = OidcStateRow(
            state_digest=domain.digest(attempt.state),
            provider_id=client.provider.id,
            nonce=attempt.nonce,
            verifier=attempt.verifier,
            redirect_uri=request.redirect_uri,
            expires_at_ms=self._clock() + STATE_LIFE_MS,
        )
        await self._sign_in.accounts.add_oidc_state(row)
        return pb.StartOidcSignInResponse(authorization_url=url, state=attempt.state)

    async def FinishOidcSignIn(self, request: pb.FinishOidcSignInRequest, context: Any) -> pb.FinishOidcSignInResponse:
        row = await self._sign_in.accounts.take_oidc_state(request.state, self._clock())
        if row is None:
            raise ServiceError(ErrorReason.ERROR_REASON_OIDC_FAILED, "This sign-in was finished before, or took too long: start it again.")
        client = self._client(row.provider_id)
        person = await client.person(Answer(request.code, request.issuer), row.nonce, row.verifier, row.redirect_uri)
        tokens, user = await self._sign_in.by_provider(client.provider, person)
        return pb.FinishOidcSignInResponse(tokens=tokens, user=wire.user(user))

    async def RefreshTokens(self, request: pb.RefreshTokensRequest, context: Any) -> pb.RefreshTokensResponse:
        return pb.RefreshTokensResponse(tokens=await self._sign_in.refresh(request.refresh_token))

    async def SignOut(self, request: pb.SignOutRequest, context: Any) -> pb.SignOutResponse:
        await self._sign_in.sign_out(request.refresh_token)
        return pb.SignOutResponse()

    async def GetCurrentUser(self, request: pb.GetCurrentUserRequest, context: Any) -> pb.GetCurrentUserResponse:
        user = await self._sign_in.accounts.user(current_caller().user_id)
        if user is None:
            raise ServiceError(ErrorReason.ERROR_REASON_UNAUTHENTICATED)
        return pb.GetCurrentUserResponse(user=wire.user(user))

    async def GetJwks(self, request: pb.GetJwksRequest, context: Any) -> pb.GetJwksResponse:
        """Also when the root document has expired: the services say so, and the gateway could not."""
        keys = [
            pb.Jwk(kty="OKP", crv="Ed25519", x=_base64url(key.public), kid=key.key_id.hex(), alg="EdDSA", use="sig")
            for key in self._keys.newest().keys(Role.ROLE_AUTH)
        ]
        return pb.GetJwksResponse(keys=keys)

    async def ExchangeApiKey(self, request: pb.ExchangeApiKeyRequest, context: Any) -> pb.ExchangeApiKeyResponse:
        key = await self._members.use_api_key(request.api_key, self._clock()) if request.api_key.startswith(API_KEY_PREFIX) else None
        if key is None:
            raise ServiceError(ErrorReason.ERROR_REASON_UNAUTHENTICATED, "This API key does not exist, was revoked or has expired.")
        return pb.ExchangeApiKeyResponse(tokens=self._sign_in.issuer.for_api_key(key))

    def _client(self, provider_id: str) -> OidcClient:
        client = self._oidc.get(provider_id)
        if client is None:
            raise not_found("provider", provider_id)
        return client


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
