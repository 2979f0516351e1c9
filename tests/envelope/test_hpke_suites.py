"""Our two suites are the ones of RFC 9180 and X-Wing: the published vectors open with our keys."""

import json
from importlib import resources
from typing import Any

import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHAKE256, Hash
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM
from cryptography.hazmat.primitives.hpke import Suite as Hpke

from spin_envelope.errors import Refused
from spin_envelope.hpke_keys import HPKE, RecipientKey, check_recipient, encrypt
from spin_envelope.sealing import Suite
from spinapis.envelope.v1.signed_pb2 import PublicKey

BASE = 0
HKDF_SHA256 = 1
CHACHA20POLY1305 = 3


def vectors(name: str, kem: int, aead: int) -> dict[str, Any]:
    text = resources.files("cryptography_vectors").joinpath("HPKE", name).read_text()
    wanted = (BASE, kem, HKDF_SHA256, aead)
    (vector,) = [v for v in json.loads(text) if (v["mode"], v["kem_id"], v["kdf_id"], v["aead_id"]) == wanted]
    return vector


def xwing_key(seed: bytes) -> RecipientKey:
    """X-Wing's expansion of its 32-byte seed (draft-connolly-cfrg-xwing-kem, section 5.2)."""
    shake = Hash(SHAKE256(96))
    shake.update(seed)
    expanded = shake.finalize()
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    return RecipientKey(Suite.MLKEM768_X25519_AES256GCM, X25519PrivateKey.from_private_bytes(expanded[64:]), mlkem)


def opened(hpke: Hpke, vector: dict[str, Any], key: RecipientKey) -> bytes:
    """The first message of the vector; it has associated data, which our format has not."""
    first = vector["encryptions"][0]
    ciphertext = bytes.fromhex(vector["enc"] + first["ct"])
    return openssl.hpke._decrypt_with_aad(hpke, ciphertext, key._private, bytes.fromhex(vector["info"]), bytes.fromhex(first["aad"]))


def test_suite_1_opens_the_vector_of_rfc_9180() -> None:
    vector = vectors("test-vectors.json", 0x20, CHACHA20POLY1305)
    key = RecipientKey(Suite.X25519_CHACHA20POLY1305, X25519PrivateKey.from_private_bytes(bytes.fromhex(vector["skRm"])), None)
    assert key.public.public_key.hex() == vector["pkRm"]
    assert opened(HPKE[key.suite], vector, key).hex() == vector["encryptions"][0]["pt"]


def test_suite_2_has_the_keys_of_x_wing() -> None:
    vector = vectors("hpke-pq-test-vectors.json", 0x647A, CHACHA20POLY1305)
    key = xwing_key(bytes.fromhex(vector["skRm"]))
    assert key.public.public_key.hex() == vector["pkRm"]
    same_but_chacha = Hpke(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    assert opened(same_but_chacha, vector, key).hex() == vector["encryptions"][0]["pt"]


@pytest.mark.parametrize("suite", Suite)
def test_what_is_encrypted_opens_with_the_same_info_alone(suite: Suite) -> None:
    key = RecipientKey.generate(suite)
    ciphertext = encrypt(b"hello", key.public, b"info")
    assert check_recipient(key.public) is suite
    assert key.decrypt(ciphertext, b"info") == b"hello"
    with pytest.raises(Refused):
        key.decrypt(ciphertext, b"other")


@pytest.mark.vectors("keys", "x25519", "refused")
def test_recipients_with_a_bad_x25519_key_are_refused(case: Any) -> None:
    bad = bytes.fromhex(case["public"])
    mlkem = RecipientKey.generate(Suite.MLKEM768_X25519_AES256GCM).public.public_key[:1184]
    for algorithm, public in ((257, bad), (258, mlkem + bad)):
        with pytest.raises(Refused):
            check_recipient(PublicKey(algorithm=algorithm, public_key=public))  # type: ignore[arg-type]


def test_recipients_of_another_algorithm_or_with_a_bad_ml_kem_key_are_refused() -> None:
    hybrid = RecipientKey.generate(Suite.MLKEM768_X25519_AES256GCM).public
    cases = [
        PublicKey(),
        PublicKey(algorithm=1, public_key=bytes(32)),
        PublicKey(algorithm=hybrid.algorithm, public_key=b"\xff" * 1184 + hybrid.public_key[1184:]),
        PublicKey(algorithm=hybrid.algorithm, public_key=hybrid.public_key[:1183]),
    ]
    for case in cases:
        with pytest.raises(Refused):
            check_recipient(case)


@pytest.mark.parametrize("suite", Suite)
def test_a_recipient_key_shows_no_more_than_its_id(suite: Suite) -> None:
    key = RecipientKey.generate(suite)
    assert repr(key) == f"RecipientKey(suite={suite.value}, key_id={key.key_id.hex()})"
