"""Passwords of the local issuer.

Rules: argon2id with 19 MiB and two passes (OWASP's choice), in a thread, a few at a time; an unknown account costs as much time as a known one.
A new password is judged by how many guesses it would take (zxcvbn, with its lists of common passwords, names and words), never by the kinds of its
characters.
"""

import asyncio
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 4
# zxcvbn's scale from 0 to 4; 3 stands for more than 10^8 guesses, which a hash as slow as ours makes a matter of years.
STRONG_ENOUGH = 3
# What zxcvbn looks at; the time it takes grows with the square of the length.
JUDGED_CHARACTERS = 72


class Passwords:
    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._slots = asyncio.Semaphore(AT_ONCE)
        # Checked when there is no account, so that the time says nothing.
        self._nobody = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, password_hash: str, password: str) -> bool:
        """`password_hash` is empty when there is no account or no password: never a match, at the same cost."""
        async with self._slots:
            found = await asyncio.to_thread(self._verify, password_hash or self._nobody, password)
        return found and bool(password_hash)

    async def weakness(self, password: str, about: Sequence[str]) -> str:
        """Why the password is easily guessed, for the person; empty when it is not. `about` are words that others connect with them."""
        return await asyncio.to_thread(_weakness, password[:JUDGED_CHARACTERS], about)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def _weakness(password: str, about: Sequence[str]) -> str:
    # Its lists take a tenth of a second to read, and few people set a password.
    from zxcvbn import zxcvbn

    judged = zxcvbn(password, user_inputs=list(about))
    if judged["score"] >= STRONG_ENOUGH:
        return ""
    return str(judged["feedback"]["warning"]).rstrip(".") or "It is too close to common words and patterns"
