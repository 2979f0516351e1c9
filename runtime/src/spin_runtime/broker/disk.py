"""Files of the broker on disk: encrypted, and replaced as a whole.

- Every file has a key of its own, derived from the disk key and the file's name, so no file passes for another.
- A file is replaced atomically: written beside, synced, renamed, the folder synced. A crash leaves the old one or the new one.
- What does not decrypt is never guessed at: `DiskError` says which file, why that may be, and how to go on.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

MAGIC = b"spin-disk-1\n"
NONCE = 12


class DiskError(Exception):
    """The broker's files cannot be used; the text is for whoever operates the runtime."""


@contextmanager
def starting(home: Path) -> Iterator[None]:
    """What the system says of the disk while a broker starts, for whoever operates the runtime. Raises DiskError."""
    try:
        yield
    except OSError as error:
        text = f"{error.filename or home} cannot be used: {error.strerror}. Mend or free it, or choose another SPIN_HOME"
        raise DiskError(text) from error


class Cipher:
    """AES-256-GCM under the key of one file; `context` is bound to what it encrypts."""

    def __init__(self, disk_key: bytes, name: str) -> None:
        self._aead = AESGCM(HKDFExpand(SHA256(), 32, b"spin/disk/v1/" + name.encode()).derive(disk_key))

    def seal(self, data: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self._aead.encrypt(nonce, data, context)

    def open(self, data: bytes, context: bytes) -> bytes | None:
        """The plaintext, or None when the bytes are not what was written under this key and context."""
        try:
            return self._aead.decrypt(data[:NONCE], data[NONCE:], context)
        except (InvalidTag, ValueError):
            return None


class EncryptedFolder:
    """The broker's own folder. One process uses it at a time: two would fork the chain of receipts."""

    def __init__(self, path: Path, disk_key: bytes) -> None:
        self.path, self._disk_key = path, disk_key
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        self._lock = os.open(path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise DiskError(f"{path} is in use by another runtime: stop that one, or give this one another SPIN_HOME") from None

    def cipher(self, name: str) -> Cipher:
        return Cipher(self._disk_key, name)

    def read(self, name: str) -> bytes | None:
        """The file's content, or None when there is no such file. Raises DiskError."""
        try:
            data = (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        plain = self.cipher(name).open(data.removeprefix(MAGIC), MAGIC) if data.startswith(MAGIC) else None
        if plain is None:
            raise unreadable(self.path / name)
        return plain

    def write(self, name: str, data: bytes) -> None:
        replace_file(self.path / name, MAGIC + self.cipher(name).seal(data, MAGIC))

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)
        sync_folder(self.path)

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def unreadable(path: Path) -> DiskError:
    return DiskError(
        f"{path} cannot be read: it is damaged, or SPIN_TOKEN is not the one that the runtime was paired with. "
        f"Give the runtime its own token, restore the file from a backup, or remove {path.parent} and add the runtime to its workspace anew"
    )


def replace_file(path: Path, data: bytes) -> None:
    """Puts `data` in the place of the file, durably and at once."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
