"""What every provider offers, and how the failures of all of them read."""

from typing import Protocol

from spin_services.keys.kek import KeysUnusable

CONNECT_S = 3
ANSWER_S = 6


class KekProvider(Protocol):
    @property
    def uri(self) -> str:
        """The key's address, as in SPIN_KEK."""

    async def wrap(self, key: bytes, aad: bytes) -> bytes:
        """Raises KeysUnusable."""

    async def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Raises KeysUnusable, also when it was not wrapped by this key for this use."""

    async def close(self) -> None: ...


class Faults:
    """The failures of one key, worded."""

    def __init__(self, uri: str, permissions: str) -> None:
        self._uri = uri
        self._permissions = permissions

    def missing(self) -> KeysUnusable:
        return KeysUnusable(f"there is no key {self._uri}: create it, or correct SPIN_KEK")

    def denied(self) -> KeysUnusable:
        return KeysUnusable(f"the key service refuses this service the key {self._uri}: grant its identity {self._permissions}")

    def disabled(self) -> KeysUnusable:
        return KeysUnusable(
            f"the key {self._uri} is disabled or being deleted: enable it at the key service; what it wrapped cannot be read until then"
        )

    def unreachable(self, cause: str) -> KeysUnusable:
        return KeysUnusable(f"the key service of {self._uri} does not answer ({cause}): check the network, the address and the service's state")

    def no_identity(self, how: str) -> KeysUnusable:
        return KeysUnusable(f"there is no identity to use the key {self._uri} with: {how}")

    def unopened(self) -> KeysUnusable:
        return KeysUnusable(f"a wrapped key does not open with {self._uri}: it was wrapped with another key or for another use, or changed")

    def other(self, cause: str) -> KeysUnusable:
        return KeysUnusable(f"the key service failed on the key {self._uri}: {cause}")
