"""Keys: validated where they enter, named with their algorithm, and never shown."""

from typing import Any

import pytest

from spin_envelope.curve25519 import check_ed25519, check_x25519
from spin_envelope.digests import fingerprint, key_id
from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey, VerifyKey


@pytest.mark.vectors("keys", "ed25519", "accepted")
def test_a_seed_gives_this_key(case: Any) -> None:
    key = SigningKey.from_seed(bytes.fromhex(case["seed"]))
    assert key.seed.hex() == case["seed"]
    assert key.public.hex() == case["public"]
    assert key.key_id.hex() == case["key_id"]
    assert key.sign(b"").hex() == case["signature_over_empty"]
    assert fingerprint(key.public) == case["fingerprint"]


@pytest.mark.vectors("keys", "ed25519", "accepted")
def test_a_public_key_verifies_its_signature_and_no_other(case: Any) -> None:
    key = VerifyKey(bytes.fromhex(case["public"]))
    signature = bytes.fromhex(case["signature_over_empty"])
    assert key.key_id.hex() == case["key_id"]
    assert key.verify(signature, b"")
    assert not key.verify(signature, b"x")
    assert not key.verify(signature[:-1], b"")


@pytest.mark.vectors("keys", "ed25519", "refused")
def test_an_ed25519_key_is_refused(case: Any) -> None:
    with pytest.raises(Refused):
        VerifyKey(bytes.fromhex(case["public"]))


@pytest.mark.vectors("keys", "x25519", "accepted")
def test_an_x25519_key_is_accepted(case: Any) -> None:
    check_x25519(bytes.fromhex(case["public"]))


@pytest.mark.vectors("keys", "x25519", "refused")
def test_an_x25519_key_is_refused(case: Any) -> None:
    with pytest.raises(Refused):
        check_x25519(bytes.fromhex(case["public"]))


@pytest.mark.vectors("keys", "key_ids")
def test_a_key_id_binds_the_algorithm(case: Any) -> None:
    assert key_id(case["algorithm"], bytes.fromhex(case["public"])).hex() == case["key_id"]


def test_generated_keys_pass_validation_and_differ() -> None:
    keys = {SigningKey.generate().verify_key for _ in range(20)}
    assert len(keys) == 20


def test_about_half_of_all_numbers_are_no_points() -> None:
    def is_point(y: int) -> bool:
        try:
            check_ed25519(y.to_bytes(32, "little"))
        except Refused:
            return False
        return True

    assert 60 < sum(is_point(y) for y in range(1000, 1200)) < 140


def test_equal_public_keys_are_equal_and_a_seed_needs_32_bytes() -> None:
    key = SigningKey.generate()
    assert key.verify_key == VerifyKey(key.public)
    assert hash(key.verify_key) == hash(VerifyKey(key.public))
    with pytest.raises(Refused):
        SigningKey.from_seed(key.seed[:31])


def test_a_private_key_is_not_shown() -> None:
    key = SigningKey.generate()
    assert key.key_id.hex() in repr(key)
    assert key.seed.hex() not in repr(key)
    assert repr(key.seed) not in repr(vars(key))
