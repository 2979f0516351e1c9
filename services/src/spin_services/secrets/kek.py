"""Where the key-encryption key is: behind this interface, so that a key management service can stand in for the file.

Rules: a provider never gives the KEK away, it wraps and unwraps; `aad` names what is wrapped and must be the same both times.
"""

from typing import Protocol

from spin_services.keys import Kek


class KekProvider(Protocol):
    async def wrap(self, key: bytes, aad: bytes) -> bytes: ...

    async def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Raises KeysUnusable when it was not wrapped here for this use."""


class FileKekProvider:
    """The installation's own KEK file. AES-GCM over 32 bytes takes microseconds, so it runs in place."""

    def __init__(self, kek: Kek) -> None:
        self._kek = kek

    async def wrap(self, key: bytes, aad: bytes) -> bytes:
        return self._kek.wrap(key, aad)

    async def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        return self._kek.unwrap(wrapped, aad)
