"""Ed25519 keys. The algorithm belongs to the key and never to a message; a public key is validated where it enters."""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from spin_envelope.curve25519 import check_ed25519
from spin_envelope.digests import key_id
from spin_envelope.errors import Refused
from spinapis.envelope.v1.signed_pb2 import KEY_ALGORITHM_ED25519


class SigningKey:
    """A private key. Its representation shows the key id alone."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.key_id = key_id(KEY_ALGORITHM_ED25519, self.public)

    @classmethod
    def generate(cls) -> "SigningKey":
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> "SigningKey":
        """The key of a 32-byte seed (RFC 8032, section 5.1.5). Raises Refused for another length."""
        if len(seed) != 32:
            raise Refused(f"a seed of {len(seed)} bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def seed(self) -> bytes:
        return self._private.private_bytes_raw()

    @property
    def verify_key(self) -> "VerifyKey":
        return VerifyKey(self.public)

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"SigningKey(key_id={self.key_id.hex()})"


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key that passed validation: making one raises Refused for a key that is not canonical, of low order or no point."""

    public: bytes
    key_id: bytes = field(init=False, compare=False)
    _key: Ed25519PublicKey = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_ed25519(self.public)
        object.__setattr__(self, "key_id", key_id(KEY_ALGORITHM_ED25519, self.public))
        object.__setattr__(self, "_key", Ed25519PublicKey.from_public_bytes(self.public))

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is this key's over `data`."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True
