"""A credential at rest: AES-256-GCM under a fresh key for each record, the key wrapped by the KEK.

- The associated data is PAE(record kind, workspace, connection, version): a row copied to another place does not open there.
- AES-GCM alone lets one ciphertext open under two keys; the commitment to the key, checked first, rules that out.
"""

import hmac
import os
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from spin_envelope.digests import pae
from spin_services.keys.providers import KekProvider

KIND = "application/vnd.spin.credential-record.v1"
KEY = 32
NONCE = 12


class RecordUnreadable(Exception):
    """The record was not written for this place, or was changed."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a record belongs to."""

    workspace_id: str
    connection_id: str
    version: int

    def aad(self) -> bytes:
        return pae(KIND, bytes.fromhex(self.workspace_id) + bytes.fromhex(self.connection_id) + self.version.to_bytes(8))


@dataclass(frozen=True, slots=True)
class Record:
    wrapped_key: bytes = field(repr=False)
    commitment: bytes
    # Nonce and ciphertext.
    sealed: bytes = field(repr=False)


async def write_record(kek: KekProvider, place: Place, plaintext: bytes) -> Record:
    key, nonce, aad = os.urandom(KEY), os.urandom(NONCE), place.aad()
    sealed = nonce + AESGCM(key).encrypt(nonce, plaintext, aad)
    return Record(await kek.wrap(key, aad), _commitment(key, aad), sealed)


async def read_record(kek: KekProvider, place: Place, record: Record) -> bytes:
    """Raises RecordUnreadable, and KeysUnusable from the provider."""
    aad = place.aad()
    key = await kek.unwrap(record.wrapped_key, aad)
    if not hmac.compare_digest(_commitment(key, aad), record.commitment):
        raise RecordUnreadable
    try:
        return AESGCM(key).decrypt(record.sealed[:NONCE], record.sealed[NONCE:], aad)
    except InvalidTag:
        raise RecordUnreadable from None


def _commitment(key: bytes, aad: bytes) -> bytes:
    return sha256(b"spin/key-commitment/v1" + key + aad).digest()
