"""Who a runtime is: for ever, in this boot, and in these 24 hours.

- The identity key is made once and never leaves this process unencrypted.
- The boot id and the HPKE key live in memory alone: what was sealed to an earlier boot cannot be opened by anybody.
- The HPKE key is replaced every 24 hours. The one before it opens what was sealed until then for as long as that could be valid.
"""

import os
from dataclasses import dataclass, field
from hashlib import sha256

from spin_envelope.keys import SigningKey
from spin_envelope.sealing import RecipientKey, Suite
from spin_runtime.broker.disk import EncryptedFolder, unreadable

FILE = "identity"
KEY_AGE_MS = 24 * 3600 * 1000
# A program lives for 300 s, and clocks may differ by 90 s.
GRACE_MS = 390 * 1000


def load_identity(folder: EncryptedFolder) -> SigningKey:
    """The runtime's identity key, made when there is none yet. Raises DiskError."""
    seed = folder.read(FILE)
    if seed is None:
        key = SigningKey.generate()
        folder.write(FILE, key.seed)
        return key
    if len(seed) != 32:
        raise unreadable(folder.path / FILE)
    return SigningKey.from_seed(seed)


def fingerprint(identity: SigningKey) -> bytes:
    return sha256(identity.public).digest()


@dataclass(frozen=True)
class DatedKey:
    key: RecipientKey
    suite: Suite
    made_at_ms: int


@dataclass
class Boot:
    """This boot's id and its HPKE keys."""

    boot_id: bytes = field(default_factory=lambda: os.urandom(16))
    _current: DatedKey | None = None
    _previous: DatedKey | None = None
    # Public ids of keys that are gone, so that who still seals to one can be told to attach again.
    retired: set[bytes] = field(default_factory=set)

    def current(self, suite: Suite, now_ms: int) -> RecipientKey:
        """The key to seal to: of this suite, and younger than 24 hours."""
        self.expire(now_ms)
        if self._current is None or self._current.suite != suite:
            self._replace(DatedKey(RecipientKey.generate(suite), suite, now_ms))
        assert self._current is not None
        return self._current.key

    def opening(self, now_ms: int) -> tuple[RecipientKey, ...]:
        """The keys that may open what comes in now."""
        self.expire(now_ms)
        return tuple(dated.key for dated in (self._current, self._previous) if dated is not None)

    def expire(self, now_ms: int) -> None:
        """Drops the keys whose time is over."""
        if self._current is not None and now_ms - self._current.made_at_ms >= KEY_AGE_MS:
            self._replace(None)
        if self._previous is not None and now_ms - self._previous.made_at_ms >= KEY_AGE_MS + GRACE_MS:
            self._retire(self._previous)
            self._previous = None

    def _replace(self, new: DatedKey | None) -> None:
        if self._current is not None:
            self._retire(self._previous)
            self._previous = self._current
        self._current = new

    def _retire(self, dated: DatedKey | None) -> None:
        if dated is not None:
            self.retired.add(dated.key.key_id)
