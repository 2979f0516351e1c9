"""The key-encryption key (KEK): what keys are wrapped with before they are stored.

Rules: AES-256-GCM with a fresh nonce; the associated data names what is wrapped, so that one wrapped key cannot stand in for
another; a KEK is in the process (a `Kek`), or behind a key service that wraps and unwraps and never gives it away (`providers`).
"""

import os
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from spin_services.keys.files import create_private, read_private

FORMAT = b"\x01"
NONCE_BYTES = 12
KEY_BYTES = 32


class KeysUnusable(RuntimeError):
    """The text says which key is unusable and what to do, for the person who runs the service. It never holds a secret."""


class Kek(Protocol):
    def wrap(self, plaintext: bytes, aad: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Raises KeysUnusable when this KEK did not wrap it for this use."""


class MemoryKek:
    """32 bytes; `name` says where they come from."""

    def __init__(self, key: bytes, name: str) -> None:
        self._aead = AESGCM(key)
        self._name = name

    def wrap(self, plaintext: bytes, aad: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return FORMAT + nonce + self._aead.encrypt(nonce, plaintext, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        nonce, ciphertext = wrapped[1 : 1 + NONCE_BYTES], wrapped[1 + NONCE_BYTES :]
        if wrapped[:1] != FORMAT or len(nonce) != NONCE_BYTES:
            raise KeysUnusable(f"a wrapped key has a format that {self._name} does not make")
        try:
            return self._aead.decrypt(nonce, ciphertext, aad)
        except InvalidTag:
            raise KeysUnusable(f"a wrapped key does not open with {self._name}: it was wrapped with another key, or changed") from None


class FileKek:
    """32 bytes, raw or as 64 hexadecimal digits, in a file of mode 0600; read when first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: MemoryKek | None = None

    def create(self) -> None:
        """Makes the file when there is none."""
        create_private(self._path, os.urandom(KEY_BYTES))

    def wrap(self, plaintext: bytes, aad: bytes) -> bytes:
        return self._kek().wrap(plaintext, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        return self._kek().unwrap(wrapped, aad)

    def _kek(self) -> MemoryKek:
        if self._read is None:
            name = f"the key-encryption key {self._path}"
            try:
                self._read = MemoryKek(key_bytes(read_private(self._path), name), name)
            except PermissionError:
                raise KeysUnusable(
                    f"{name} can be read by everyone, or not by this service: chown it to the service's user and chmod 600 it"
                ) from None
            except OSError as error:
                raise KeysUnusable(f"{name} cannot be read: {error.strerror}") from None
        return self._read


def key_bytes(data: bytes, name: str) -> bytes:
    """32 bytes as they are, or from 64 hexadecimal digits."""
    if len(data.strip()) == 2 * KEY_BYTES:
        try:
            data = bytes.fromhex(data.strip().decode("ascii"))
        except ValueError:
            raise KeysUnusable(f"{name} is neither 32 bytes nor 64 hexadecimal digits") from None
    if len(data) != KEY_BYTES:
        raise KeysUnusable(f"{name} does not hold 32 bytes (or 64 hexadecimal digits): `openssl rand -hex 32` makes some")
    return data
