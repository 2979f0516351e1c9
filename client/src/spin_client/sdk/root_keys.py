"""Root keys as files: Ed25519 in PKCS#8, PEM, encrypted with a passphrase (PBES2). Made for a machine without a network.

A file is never replaced. A passphrase has `SHORTEST` characters or more, since the file is meant to be carried about.
"""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from spin_client.sdk.errors import SpinError
from spin_envelope.keys import SigningKey

SHORTEST = 12


def new_root_key(path: Path, passphrase: str) -> SigningKey:
    """Makes a key and its file, mode 0600. INVALID_ARGUMENT when the file is there, or the passphrase is too short."""
    if len(passphrase) < SHORTEST:
        raise SpinError("INVALID_ARGUMENT", f"the passphrase has {len(passphrase)} characters: take {SHORTEST} or more, such as five words")
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SpinError("INVALID_ARGUMENT", f"{path} is there already: a key is never written over, choose another name") from None
    except OSError as fault:
        raise SpinError("INVALID_ARGUMENT", f"cannot write {path}: {fault.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return SigningKey(private)


def load_root_key(path: Path, passphrase: str) -> SigningKey:
    """The key in a file. INVALID_ARGUMENT when it cannot be read, is no such key, or the passphrase is another one."""
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise SpinError("INVALID_ARGUMENT", f"cannot read {path}: {fault.strerror}") from None
    try:
        private = load_pem_private_key(data, passphrase.encode())
    except (ValueError, TypeError):
        raise SpinError("INVALID_ARGUMENT", f"{path} does not open: another passphrase, or no file of `spinctl root new-key`") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise SpinError("INVALID_ARGUMENT", f"{path} holds a key of another kind: a root key is Ed25519")
    return SigningKey(private)
