"""People and their sign-ins.

Rules: whatever is single use (links, refresh tokens, states) is taken by one UPDATE or DELETE that only one caller can win; attempts are
counted before a password is checked, so that parallel guesses count too, on every replica and across restarts.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from spin_services.auth import domain
from spin_services.auth.tables import (
    ApiKeyRow,
    AttemptsRow,
    IdentityRow,
    OidcStateRow,
    RefreshTokenRow,
    SignInLinkRow,
    SignInRow,
    UserRow,
)
from spin_services.database import Database


class Rotation(Enum):
    """What became of a refresh token that was shown."""

    DONE = "done"
    UNKNOWN = "unknown"
    REUSED = "reused"


@dataclass(frozen=True)
class Rotated:
    outcome: Rotation
    sign_in_id: str = ""
    user: UserRow | None = None


class Accounts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def any_user(self) -> bool:
        async with self._database.reading() as session:
            return await session.scalar(select(col(UserRow.id)).limit(1)) is not None

    async def user(self, user_id: str) -> UserRow | None:
        query = select(*UserRow.__table__.columns).where(col(UserRow.id) == user_id)  # type: ignore[attr-defined]
        found = await self._database.read_in_one_go(lambda connection: connection.execute(query).mappings().one_or_none())
        return UserRow(**found) if found is not None else None

    async def user_by_email(self, email: str) -> UserRow | None:
        async with self._database.reading() as session:
            return (await session.scalars(select(UserRow).where(col(UserRow.email) == email))).first()

    async def first_admin(self) -> UserRow | None:
        async with self._database.reading() as session:
            query = select(UserRow).where(col(UserRow.is_admin)).order_by(col(UserRow.created_at_ms), col(UserRow.id))
            return (await session.scalars(query.limit(1))).first()

    async def add_user(self, user: UserRow) -> bool:
        """False when the e-mail is taken."""
        async with self._database.session() as session:
            session.add(user)
            try:
                await session.commit()
            except IntegrityError:
                return False
            return True

    async def set_password(self, user_id: str, password_hash: str, keep_sign_in: str, now_ms: int) -> list[str]:
        """Sets it and revokes every other sign-in of the person; gives the revoked ones."""
        async with self._database.session() as session:
            await session.execute(update(UserRow).where(col(UserRow.id) == user_id).values(password_hash=password_hash))
            revoked = await session.scalars(
                update(SignInRow)
                .where(col(SignInRow.user_id) == user_id, col(SignInRow.id) != keep_sign_in, col(SignInRow.revoked_at_ms) == 0)
                .values(revoked_at_ms=now_ms)
                .returning(col(SignInRow.id))
            )
            gone = list(revoked)
            await session.commit()
            return gone

    async def add_link(self, token: str, user_id: str, expires_at_ms: int) -> None:
        async with self._database.session() as session:
            session.add(SignInLinkRow(token_digest=domain.digest(token), user_id=user_id, expires_at_ms=expires_at_ms))
            await session.commit()

    async def take_link(self, token: str, now_ms: int) -> str | None:
        """The person of an unused, unexpired link, once."""
        async with self._database.session() as session:
            user_id = await session.scalar(
                update(SignInLinkRow)
                .where(
                    col(SignInLinkRow.token_digest) == domain.digest(token),
                    col(SignInLinkRow.used_at_ms) == 0,
                    col(SignInLinkRow.expires_at_ms) > now_ms,
                )
                .values(used_at_ms=now_ms)
                .returning(col(SignInLinkRow.user_id))
            )
            await session.commit()
            return user_id

    async def begin_attempt(self, account: str, now_ms: int) -> int:
        """Counts an attempt before it is made; gives the milliseconds to wait when it may not be made."""
        async with self._database.session() as session:
            row = await session.get(AttemptsRow, account, with_for_update=True)
            if row is not None and row.blocked_until_ms > now_ms:
                return row.blocked_until_ms - now_ms
            if row is None:
                row = AttemptsRow(account=account)
                session.add(row)
            stale = now_ms - row.last_at_ms > domain.ATTEMPT_WINDOW_MS + domain.block_ms(row.failures)
            row.failures = 1 if stale else row.failures + 1
            row.last_at_ms = now_ms
            row.blocked_until_ms = now_ms + domain.block_ms(row.failures)
            try:
                await session.commit()
            except IntegrityError:
                # Another replica counted the account's very first attempt in the same moment.
                return 1000
            return 0

    async def forget_attempts(self, account: str) -> None:
        async with self._database.session() as session:
            await session.execute(delete(AttemptsRow).where(col(AttemptsRow.account) == account))
            await session.commit()

    async def begin_sign_in(self, sign_in: SignInRow, refresh_token: str, expires_at_ms: int) -> None:
        async with self._database.session() as session:
            session.add(sign_in)
            await session.flush()
            digest = domain.digest(refresh_token)
            session.add(RefreshTokenRow(token_digest=digest, sign_in_id=sign_in.id, expires_at_ms=expires_at_ms))
            await session.commit()

    async def rotate(self, token: str, successor: str, now_ms: int, expires_at_ms: int) -> Rotated:
        """Trades a refresh token for its successor. One that comes a second time revokes its whole sign-in."""
        async with self._database.session() as session:
            digest = domain.digest(token)
            sign_in_id = await session.scalar(
                update(RefreshTokenRow)
                .where(
                    col(RefreshTokenRow.token_digest) == digest,
                    col(RefreshTokenRow.used_at_ms) == 0,
                    col(RefreshTokenRow.expires_at_ms) > now_ms,
                )
                .values(used_at_ms=now_ms)
                .returning(col(RefreshTokenRow.sign_in_id))
            )
            if sign_in_id is None:
                used = await session.get(RefreshTokenRow, digest)
                if used is None or used.used_at_ms == 0:
                    return Rotated(Rotation.UNKNOWN)
                await session.execute(
                    update(SignInRow).where(col(SignInRow.id) == used.sign_in_id, col(SignInRow.revoked_at_ms) == 0).values(revoked_at_ms=now_ms)
                )
                await session.commit()
                return Rotated(Rotation.REUSED, used.sign_in_id)
            sign_in = await session.get(SignInRow, sign_in_id)
            if sign_in is None or not _lives(sign_in, now_ms):
                return Rotated(Rotation.UNKNOWN)
            until = min(expires_at_ms, sign_in.expires_at_ms)
            session.add(RefreshTokenRow(token_digest=domain.digest(successor), sign_in_id=sign_in_id, expires_at_ms=until))
            user = await session.get(UserRow, sign_in.user_id)
            await session.commit()
            return Rotated(Rotation.DONE, sign_in_id, user)

    async def end_sign_in(self, refresh_token: str, now_ms: int) -> str | None:
        """Revokes the sign-in that a refresh token, used or not, belongs to."""
        async with self._database.session() as session:
            row = await session.get(RefreshTokenRow, domain.digest(refresh_token))
            if row is None:
                return None
            await session.execute(update(SignInRow).where(col(SignInRow.id) == row.sign_in_id).values(revoked_at_ms=now_ms))
            await session.commit()
            return row.sign_in_id

    async def sign_in_lives(self, sign_in_id: str, now_ms: int) -> bool:
        async with self._database.reading() as session:
            row = await session.get(SignInRow, sign_in_id)
            return row is not None and _lives(row, now_ms)

    async def add_oidc_state(self, row: OidcStateRow) -> None:
        async with self._database.session() as session:
            session.add(row)
            await session.commit()

    async def take_oidc_state(self, state: str, now_ms: int) -> OidcStateRow | None:
        """The state, once."""
        async with self._database.session() as session:
            row = await session.scalar(delete(OidcStateRow).where(col(OidcStateRow.state_digest) == domain.digest(state)).returning(OidcStateRow))
            await session.commit()
            return row if row is not None and row.expires_at_ms > now_ms else None

    async def user_of_identity(self, issuer: str, subject: str) -> UserRow | None:
        async with self._database.reading() as session:
            query = select(UserRow).join(IdentityRow, col(IdentityRow.user_id) == col(UserRow.id))
            return (await session.scalars(query.where(col(IdentityRow.issuer) == issuer, col(IdentityRow.subject) == subject))).first()

    @asynccontextmanager
    async def tying(self, issuer: str, subject: str, user_id: str, now_ms: int) -> AsyncIterator[Sequence[ApiKeyRow]]:
        """Gives the account to the provider's person when the block ends well: links, password, sign-ins and API keys of before are void.

        The block gets the keys that are revoked with it. For somebody who has an account already nothing changes.
        """
        async with self._database.session() as session:
            session.add(IdentityRow(issuer=issuer, subject=subject, user_id=user_id))
            try:
                await session.flush()
            except IntegrityError:
                yield ()
                return
            await session.execute(delete(SignInLinkRow).where(col(SignInLinkRow.user_id) == user_id))
            await session.execute(update(UserRow).where(col(UserRow.id) == user_id).values(password_hash=""))
            mine = (col(SignInRow.user_id) == user_id, col(SignInRow.revoked_at_ms) == 0)
            await session.execute(update(SignInRow).where(*mine).values(revoked_at_ms=now_ms))
            made = (col(ApiKeyRow.created_by) == user_id, col(ApiKeyRow.revoked_at_ms) == 0)
            keys = await session.scalars(update(ApiKeyRow).where(*made).values(revoked_at_ms=now_ms).returning(ApiKeyRow))
            yield keys.all()
            await session.commit()

    async def sweep(self, now_ms: int) -> int:
        """Deletes what has expired; gives the number of rows."""
        async with self._database.session() as session:
            gone = 0
            for table, expiry in (
                (SignInLinkRow, SignInLinkRow.expires_at_ms),
                (OidcStateRow, OidcStateRow.expires_at_ms),
                (RefreshTokenRow, RefreshTokenRow.expires_at_ms),
            ):
                result = await session.execute(delete(table).where(col(expiry) < now_ms))
                gone += getattr(result, "rowcount", 0)
            live = select(func.count()).where(col(RefreshTokenRow.sign_in_id) == col(SignInRow.id)).scalar_subquery()
            result = await session.execute(delete(SignInRow).where(col(SignInRow.expires_at_ms) < now_ms, live == 0))
            gone += getattr(result, "rowcount", 0)
            await session.commit()
            return gone


def _lives(row: SignInRow, now_ms: int) -> bool:
    return row.revoked_at_ms == 0 and row.expires_at_ms > now_ms
