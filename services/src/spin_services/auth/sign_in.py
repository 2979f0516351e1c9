"""What signing in means, whichever way a person came.

Rules: the same answer for an unknown person and a wrong password; an attempt counts before it is checked; accounts from an OIDC provider
are found by issuer and subject, and tied to an invited e-mail only when the provider says that it verified it; whoever was in the account
before, such as the one who invited and had the link, is out of it then, and so are the API keys that they made, which the log shows.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from spin_services.auth import domain
from spin_services.auth.access import LocalAccess
from spin_services.auth.issuer import Issuer
from spin_services.auth.oidc import Person
from spin_services.auth.passwords import Passwords
from spin_services.auth.settings import OidcProvider
from spin_services.auth.store import Accounts
from spin_services.auth.tables import ApiKeyRow, UserRow
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.errors import ErrorReason, ServiceError, invalid
from spin_services.rpc.identity import Caller
from spinapis.audit.v1.audit_pb2 import NewEntry
from spinapis.auth.v1.sign_in_pb2 import Tokens

log = structlog.get_logger("spin.auth")


@dataclass(frozen=True)
class SignIn:
    accounts: Accounts
    issuer: Issuer
    passwords: Passwords
    access: LocalAccess
    audit: AuditLog
    clock: Callable[[], int]

    async def by_link(self, token: str) -> tuple[Tokens, UserRow]:
        user_id = await self.accounts.take_link(token, self.clock())
        user = await self.accounts.user(user_id) if user_id else None
        if user is None:
            raise ServiceError(ErrorReason.ERROR_REASON_SIGN_IN_LINK_INVALID)
        return await self._done(user, "link")

    async def by_password(self, email: str, password: str) -> tuple[Tokens, UserRow]:
        account = domain.account_of(email)
        await self._begin_attempt(account)
        user = await self.accounts.user_by_email(email.strip().lower())
        if len(password.encode()) > domain.PASSWORD_MAXIMUM or not await self.passwords.matches(user.password_hash if user else "", password):
            log.info("sign_in_refused", way="password")
            raise ServiceError(ErrorReason.ERROR_REASON_CREDENTIALS_INVALID)
        assert user is not None
        await self.accounts.forget_attempts(account)
        return await self._done(user, "password")

    async def by_provider(self, provider: OidcProvider, person: Person) -> tuple[Tokens, UserRow]:
        user = await self.accounts.user_of_identity(provider.issuer, person.subject)
        if user is None:
            user = await self._tie(provider, person)
        return await self._done(user, provider.id)

    async def set_password(self, caller: Caller, old: str, new: str) -> None:
        """Ends every other sign-in of the person."""
        _check_person(caller)
        domain.check_password(new)
        user = await self.accounts.user(caller.user_id)
        if user is None:
            raise ServiceError(ErrorReason.ERROR_REASON_UNAUTHENTICATED)
        if weakness := await self.passwords.weakness(new, [*domain.EXPECTED_WORDS, user.display_name, user.email, *user.email.split("@")]):
            raise invalid("new_password", f"This password is easily guessed. {weakness}. Several unrelated words in a row are better.")
        if user.password_hash:
            await self._begin_attempt(domain.account_of(user.email))
            if not await self.passwords.matches(user.password_hash, old):
                raise ServiceError(ErrorReason.ERROR_REASON_CREDENTIALS_INVALID, "The old password is wrong.")
            await self.accounts.forget_attempts(domain.account_of(user.email))
        hashed = await self.passwords.hash(new)
        await self.accounts.set_password(user.id, hashed, caller.session_id, self.clock())
        await self.access.changed()
        log.info("password_set", user_id=user.id)

    async def refresh(self, token: str) -> Tokens:
        tokens, revoked = await self.issuer.refresh(token)
        if tokens is None:
            await self.access.changed()
            log.warning("refresh_reused", sign_in=revoked)
            raise ServiceError(ErrorReason.ERROR_REASON_REFRESH_REUSED)
        return tokens

    async def sign_out(self, refresh_token: str) -> None:
        """Knows nothing to end in a token that it never gave out, and does not say so."""
        if await self.accounts.end_sign_in(refresh_token, self.clock()):
            await self.access.changed()

    async def _begin_attempt(self, account: str) -> None:
        wait_ms = await self.accounts.begin_attempt(account, self.clock())
        if wait_ms:
            raise ServiceError(ErrorReason.ERROR_REASON_RATE_LIMITED, retry_after_s=str(-(-wait_ms // 1000)))

    async def _tie(self, provider: OidcProvider, person: Person) -> UserRow:
        """The account for someone whom the provider shows for the first time."""
        email = domain.normal_email(person.email) if person.email and person.email_verified else ""
        if not email:
            raise _oidc_failed(provider, "The provider did not confirm an e-mail address.")
        user = await self.accounts.user_by_email(email)
        if user is None:
            if not provider.open_sign_up:
                raise _oidc_failed(provider, "Nobody has invited this e-mail address yet.")
            user = UserRow(id=domain.new_id(), email=email, display_name=person.name, created_at_ms=self.clock())
            await self.accounts.add_user(user)
        # Another tab may have come first: what stands in the tables counts, not what was meant to.
        user = await self.accounts.user_by_email(email) or user
        async with self.accounts.tying(provider.issuer, person.subject, user.id, self.clock()) as revoked:
            for key in revoked:
                await self.audit.append(key.workspace_id, _key_revoked(key))
        await self.access.changed()
        return await self.accounts.user_of_identity(provider.issuer, person.subject) or user

    async def _done(self, user: UserRow, way: str) -> tuple[Tokens, UserRow]:
        log.info("signed_in", way=way, user_id=user.id)
        return await self.issuer.sign_in(user), user


def _check_person(caller: Caller) -> None:
    if caller.kind != "person":
        raise invalid("authorization", "An API key has no password.")


def _key_revoked(key: ApiKeyRow) -> NewEntry:
    entry = NewEntry(idempotency_key=domain.new_id(), type="api_key.revoked", user_id=key.created_by, subjects=[f"api_key:{key.id}"])
    entry.body_json = json.dumps({"name": key.name})
    return entry


def _oidc_failed(provider: OidcProvider, text: str) -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_OIDC_FAILED, text, provider=provider.id)
