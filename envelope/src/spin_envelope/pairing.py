"""SPIN_TOKEN, which pairs a runtime with a workspace. docs/protocol.md, section 3.

    "spin1." + base64url(workspace_id 16 | pairing_id 16 | secret 32 | root digest 32 | checksum 4), without padding

The token is a secret until the runtime is paired: no error repeats any of it, and its representation shows the ids alone.
"""

import base64
import re
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey

PREFIX = "spin1."
BODY_BYTES = 96
CHECKSUM_BYTES = 4
TEXT_LENGTH = len(PREFIX) + 134

_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")


class TokenInvalid(ValueError):
    """A text that is no SPIN_TOKEN; says what is wrong with it."""


@dataclass(frozen=True)
class SpinToken:
    workspace_id: bytes
    pairing_id: bytes
    secret: bytes = field(repr=False)
    root_digest: bytes

    @classmethod
    def mint(cls, workspace_id: bytes, pairing_id: bytes, secret: bytes, root_digest: bytes) -> "SpinToken":
        """Raises Refused when a part has not its length."""
        if [len(part) for part in (workspace_id, pairing_id, secret, root_digest)] != [16, 16, 32, 32]:
            raise Refused("a pairing token's part has a wrong length")
        return cls(workspace_id, pairing_id, secret, root_digest)

    @classmethod
    def parse(cls, text: str) -> "SpinToken":
        """Raises TokenInvalid, with a text for the person who set SPIN_TOKEN."""
        body = _decoded(text)[:BODY_BYTES]
        token = cls(body[:16], body[16:32], body[32:64], body[64:])
        if token.text != text:
            raise TokenInvalid("SPIN_TOKEN has a wrong checksum: a character was changed when it was copied")
        return token

    @property
    def text(self) -> str:
        body = self.workspace_id + self.pairing_id + self.secret + self.root_digest
        return PREFIX + base64.urlsafe_b64encode(body + _checksum(body)).decode().rstrip("=")

    def pairing_key(self) -> SigningKey:
        """Signs the PairRegistration (browser) and the EnrolRequest (runtime)."""
        return SigningKey.from_seed(self._derived(b"spin/pair/v1"))

    def disk_key(self) -> bytes:
        """Encrypts what the runtime keeps on its disk; 32 bytes."""
        return self._derived(b"spin/disk/v1")

    def _derived(self, info: bytes) -> bytes:
        return HKDF(SHA256(), length=32, salt=None, info=info).derive(self.secret)


def _decoded(text: str) -> bytes:
    if text != text.strip():
        raise TokenInvalid("SPIN_TOKEN has spaces or line breaks around it")
    if not text.startswith(PREFIX):
        raise TokenInvalid(f"SPIN_TOKEN does not start with {PREFIX!r}: copy the whole token that the web app shows when a runtime is added")
    if len(text) != TEXT_LENGTH:
        raise TokenInvalid(f"SPIN_TOKEN has {len(text)} characters and must have {TEXT_LENGTH}: it was cut off, or something was added")
    if not _ALPHABET.fullmatch(text.removeprefix(PREFIX)):
        raise TokenInvalid("SPIN_TOKEN has characters other than letters, digits, '-' and '_'")
    return base64.urlsafe_b64decode(text.removeprefix(PREFIX) + "==")


def _checksum(body: bytes) -> bytes:
    return sha256(b"spin/token/v1" + body).digest()[:CHECKSUM_BYTES]
