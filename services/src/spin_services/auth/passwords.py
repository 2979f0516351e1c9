"""Passwords of the local issuer.

Rules: argon2id with 19 MiB and two passes (OWASP's choice), in a thread, a few at a time; an unknown account costs as much time as a known one.
"""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 4


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

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False
