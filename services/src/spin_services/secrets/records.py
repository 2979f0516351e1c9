"""A credential at rest: AES-256-GCM under a fresh key for each record, that key wrapped by a version of the workspace's key.

- The associated data is PAE(record kind, workspace, connection, version, key version, suite): a row copied to another place, or said to be
  under another version, does not open.
- AES-GCM alone lets one ciphertext open under two keys; the commitment to the key, checked first, rules that out.
"""

import hmac
import os
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from spin_envelope.digests import pae
from spin_services.keys import Kek, KeysUnusable

KIND = "application/vnd.spin.credential-record.v1"
KEY = 32
NONCE = 12
# AES-256-GCM with SHA-256 as the commitment.
SUITE = 1


class RecordUnreadable(KeysUnusable):
    """The record was not written for this place, was changed, or its key is no more."""


@dataclass(frozen=True, slots=True)
class WorkspaceKey:
    """A version of a workspace's key, open."""

    version: int
    kek: Kek = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """What a record belongs to."""

    workspace_id: str
    connection_id: str
    version: int

    def aad(self, key_version: int) -> bytes:
        ids = bytes.fromhex(self.workspace_id) + bytes.fromhex(self.connection_id)
        return pae(KIND, ids + self.version.to_bytes(8) + key_version.to_bytes(8) + bytes([SUITE]))


@dataclass(frozen=True, slots=True)
class Record:
    key_version: int
    wrapped_key: bytes = field(repr=False)
    commitment: bytes
    # Nonce and ciphertext.
    sealed: bytes = field(repr=False)


def write_record(workspace_key: WorkspaceKey, place: Place, plaintext: bytes) -> Record:
    key, nonce, aad = os.urandom(KEY), os.urandom(NONCE), place.aad(workspace_key.version)
    sealed = nonce + AESGCM(key).encrypt(nonce, plaintext, aad)
    return Record(workspace_key.version, workspace_key.kek.wrap(key, aad), commitment(key, aad), sealed)


def read_record(workspace_key: WorkspaceKey, place: Place, record: Record) -> bytes:
    """Raises RecordUnreadable, or KeysUnusable when the key was not wrapped for this place."""
    aad = place.aad(workspace_key.version)
    key = workspace_key.kek.unwrap(record.wrapped_key, aad)
    if not hmac.compare_digest(commitment(key, aad), record.commitment):
        raise RecordUnreadable(f"the credential of connection {place.connection_id} is not under the key that it names")
    try:
        return AESGCM(key).decrypt(record.sealed[:NONCE], record.sealed[NONCE:], aad)
    except InvalidTag:
        raise RecordUnreadable(f"the credential of connection {place.connection_id} was changed in the database") from None


def commitment(key: bytes, aad: bytes) -> bytes:
    return sha256(b"spin/key-commitment/v1" + key + aad).digest()
