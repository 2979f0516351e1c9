"""HPKE suites and their keys. RFC 9180; X-Wing (MLKEM768-X25519). docs/protocol.md, section 1.

Suites are pinned at enrolment and never negotiated. A public key of suite 2 is ML-KEM-768's 1184 bytes and X25519's 32.
"""

from enum import IntEnum
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey
from cryptography.hazmat.primitives.hpke import Suite as Hpke

from spin_envelope.curve25519 import check_x25519
from spin_envelope.digests import key_id
from spin_envelope.errors import Refused
from spinapis.envelope.v1.signed_pb2 import KEY_ALGORITHM_HPKE_MLKEM768_X25519, KEY_ALGORITHM_HPKE_X25519, KeyAlgorithm, PublicKey

MLKEM768_PUBLIC_BYTES = 1184


class Suite(IntEnum):
    """The number in the header; a higher one is stronger."""

    X25519_CHACHA20POLY1305 = 1
    MLKEM768_X25519_AES256GCM = 2


HPKE = {
    Suite.X25519_CHACHA20POLY1305: Hpke(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
    Suite.MLKEM768_X25519_AES256GCM: Hpke(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
}
ALGORITHMS: dict[Suite, KeyAlgorithm.ValueType] = {
    Suite.X25519_CHACHA20POLY1305: KEY_ALGORITHM_HPKE_X25519,
    Suite.MLKEM768_X25519_AES256GCM: KEY_ALGORITHM_HPKE_MLKEM768_X25519,
}
SUITES: dict[int, Suite] = {algorithm: suite for suite, algorithm in ALGORITHMS.items()}


class RecipientKey:
    """A private key that lives in memory only. Its representation shows the key id alone."""

    def __init__(self, suite: Suite, x25519: X25519PrivateKey, mlkem: MLKEM768PrivateKey | None) -> None:
        self.suite = suite
        public = x25519.public_key().public_bytes_raw()
        self._private: X25519PrivateKey | MLKEM768X25519PrivateKey = x25519
        if mlkem is not None:
            public = mlkem.public_key().public_bytes_raw() + public
            self._private = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = PublicKey(algorithm=ALGORITHMS[suite], public_key=public)
        self.key_id = key_id(self.public.algorithm, public)

    @classmethod
    def generate(cls, suite: Suite) -> "RecipientKey":
        mlkem = MLKEM768PrivateKey.generate() if suite is Suite.MLKEM768_X25519_AES256GCM else None
        return cls(suite, X25519PrivateKey.generate(), mlkem)

    def decrypt(self, ciphertext: bytes, info: bytes) -> bytes:
        """HPKE base mode, one shot, empty AAD. Raises Refused."""
        try:
            return HPKE[self.suite].decrypt(ciphertext, self._private, info=info)
        except (InvalidTag, ValueError):
            raise Refused("the ciphertext does not open") from None

    def __repr__(self) -> str:
        return f"RecipientKey(suite={self.suite.value}, key_id={self.key_id.hex()})"


def check_recipient(key: PublicKey) -> Suite:
    """Validates a recipient's public key; gives its suite. Raises Refused."""
    _library_key(key)
    return SUITES[key.algorithm]


def encrypt(plaintext: bytes, recipient: PublicKey, info: bytes) -> bytes:
    """HPKE base mode, one shot, empty AAD. Raises Refused for a key that does not pass validation."""
    public = _library_key(recipient)
    return HPKE[SUITES[recipient.algorithm]].encrypt(plaintext, public, info=info)


def _library_key(key: PublicKey) -> Any:
    if key.algorithm == KEY_ALGORITHM_HPKE_X25519:
        check_x25519(key.public_key)
        return X25519PublicKey.from_public_bytes(key.public_key)
    if key.algorithm == KEY_ALGORITHM_HPKE_MLKEM768_X25519:
        mlkem, x25519 = key.public_key[:MLKEM768_PUBLIC_BYTES], key.public_key[MLKEM768_PUBLIC_BYTES:]
        check_x25519(x25519)
        return MLKEM768X25519PublicKey(_mlkem_key(mlkem), X25519PublicKey.from_public_bytes(x25519))
    raise Refused(f"algorithm {key.algorithm} is no recipient's")


def _mlkem_key(public: bytes) -> MLKEM768PublicKey:
    try:
        return MLKEM768PublicKey.from_public_bytes(public)
    except ValueError:
        raise Refused("an ML-KEM-768 key that the library refuses") from None
