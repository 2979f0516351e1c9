"""The secrets that the broker holds, so that its log shows none of them: in which forms, `spin_kernel.redaction` says.

- Who holds secrets says so under a key of its own, and says it again when they change. Nothing is searched for that nobody holds.
- Searching a line costs one look-up for each of its characters, however many secrets there are; forms are made when a line is written after a change.
"""

import base64
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock

from spin_kernel.redaction import SHORTEST, forms

MARK = "[redacted]"


class KnownSecrets:
    def __init__(self) -> None:
        self._held: dict[Hashable, frozenset[str]] = {}
        # By how they begin, the longest first. None where it has to be made anew.
        self._heads: dict[str, list[str]] | None = {}
        # SDKs log in threads of their own.
        self._lock = Lock()

    def hold(self, key: Hashable, values: Iterable[str]) -> None:
        """In the place of what was held under the key."""
        kept = frozenset(value for value in values if len(value) >= SHORTEST)
        with self._lock:
            if kept != self._held.get(key, frozenset()):
                self._held[key], self._heads = kept, None

    def forget(self, key: Hashable) -> None:
        with self._lock:
            if self._held.pop(key, None):
                self._heads = None

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
            heads = self._heads if self._heads is not None else self._made()
        if not heads:
            return text
        shown: list[str] = []
        kept = at = 0
        while at <= len(text) - SHORTEST:
            found = next((form for form in heads.get(text[at : at + SHORTEST], ()) if text.startswith(form, at)), "")
            if found:
                shown += (text[kept:at], MARK)
                kept = at + len(found)
            at += len(found) or 1
        return "".join([*shown, text[kept:]]) if shown else text

    def _made(self) -> dict[str, list[str]]:
        heads: dict[str, list[str]] = {}
        for form in sorted({form for value in set().union(*self._held.values()) for form in forms(value)}, key=len, reverse=True):
            heads.setdefault(form[:SHORTEST], []).append(form)
        self._heads = heads
        return heads


def texts_of_key(key: bytes) -> list[str]:
    """How bytes are shown, where somebody shows them."""
    return [key.hex(), repr(key)[2:-1], base64.b64encode(key).decode().rstrip("="), base64.urlsafe_b64encode(key).decode().rstrip("=")]
