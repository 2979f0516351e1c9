"""The secrets that the broker holds, so that its log shows none of them: in which forms, `spin_kernel.redaction` says.

- Who holds secrets says so under a key of its own, and says it again when they change. Nothing is searched for that nobody holds.
- All are searched for at once; their forms are made when a line is written after a change.
"""

import base64
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock

from spin_kernel.redaction import SHORTEST, Redactor

MARK = "[redacted]"


class KnownSecrets:
    def __init__(self) -> None:
        self._held: dict[Hashable, frozenset[str]] = {}
        # None where it has to be made anew.
        self._redactor: Redactor | None = None
        # SDKs log in threads of their own.
        self._lock = Lock()

    def hold(self, key: Hashable, values: Iterable[str]) -> None:
        """In the place of what was held under the key."""
        kept = frozenset(value for value in values if len(value) >= SHORTEST)
        with self._lock:
            if kept != self._held.get(key, frozenset()):
                self._held[key], self._redactor = kept, None

    def forget(self, key: Hashable) -> None:
        with self._lock:
            if self._held.pop(key, None):
                self._redactor = None

    @contextmanager
    def holding(self, values: Iterable[str]) -> Iterator[None]:
        key = object()
        self.hold(key, values)
        try:
            yield
        finally:
            self.forget(key)

    def redacted(self, text: str) -> str:
        """The text with a mark in the place of each secret."""
        with self._lock:
            if self._redactor is None:
                values = set().union(*self._held.values())
                self._redactor = Redactor({str(at): value for at, value in enumerate(values)}, lambda _name, _form: MARK)
            redactor = self._redactor
        return redactor.text(text)


def texts_of_key(key: bytes) -> list[str]:
    """How bytes are shown, where somebody shows them."""
    return [key.hex(), repr(key)[2:-1], base64.b64encode(key).decode().rstrip("="), base64.urlsafe_b64encode(key).decode().rstrip("=")]
