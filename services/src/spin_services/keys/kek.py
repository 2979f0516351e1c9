"""The key-encryption key (KEK): what keys are wrapped with before they are stored.

Rules: AES-256-GCM with a fresh nonce; the associated data names what is wrapped, so that one wrapped key cannot stand in for
another; a KEK lives in a file of mode 0600 or behind another provider with this interface.
"""

import os
import stat
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = b"\x01"
NONCE_BYTES = 12


class KeysUnusable(RuntimeError):
    """The text says what is wrong with the keys' files, for the person who runs the service."""


class Kek(Protocol):
    def wrap(self, plaintext: bytes, aad: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Raises KeysUnusable when this KEK did not wrap it for this use."""


class FileKek:
    """32 bytes, raw or as 64 hexadecimal digits, read when first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aead: AESGCM | None = None

    def create(self) -> None:
        """Makes the file when there is none."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())

    def wrap(self, plaintext: bytes, aad: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return FORMAT + nonce + self._cipher().encrypt(nonce, plaintext, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        nonce, ciphertext = wrapped[1 : 1 + NONCE_BYTES], wrapped[1 + NONCE_BYTES :]
        if wrapped[:1] != FORMAT or len(nonce) != NONCE_BYTES:
            raise KeysUnusable("a wrapped key has an unknown format")
        try:
            return self._cipher().decrypt(nonce, ciphertext, aad)
        except InvalidTag:
            raise KeysUnusable(f"a wrapped key does not open with the key in {self._path}") from None

    def _cipher(self) -> AESGCM:
        if self._aead is None:
            self._aead = AESGCM(self._read())
        return self._aead

    def _read(self) -> bytes:
        try:
            data = self._path.read_bytes()
            mode = stat.S_IMODE(self._path.stat().st_mode)
        except OSError as error:
            raise KeysUnusable(f"the key-encryption key {self._path} cannot be read: {error.strerror}") from None
        if mode & 0o007:
            raise KeysUnusable(f"the key-encryption key {self._path} can be read by everyone: chmod 600 it")
        if len(data.strip()) == 64:
            data = bytes.fromhex(data.strip().decode("ascii", "replace"))
        if len(data) != 32:
            raise KeysUnusable(f"the key-encryption key {self._path} does not hold 32 bytes")
        return data
