"""Sealed: one message for one boot of one runtime, and for nobody else."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.payloads import payload_type
from spin_envelope.sealing import MAX_MESSAGE, RecipientKey, Suite, header_of, open_sealed, seal
from spin_envelope.signing import sign
from spinapis.envelope.v1.run_pb2 import CredentialBundle, Program

CONTEXT = {"workspace_id": b"w" * 16, "runtime_id": b"r" * 16, "boot_id": b"b" * 16}
PROGRAM = payload_type(Program)


@pytest.fixture(scope="session")
def recipients(vectors_of: Callable[..., Any]) -> dict[int, RecipientKey]:
    return {described["suite"]: recipient(described) for described in vectors_of("sealed", "recipients")}


def recipient(described: Any) -> RecipientKey:
    seed = bytes.fromhex(described["mlkem768_seed"])
    key = RecipientKey(
        Suite(described["suite"]),
        X25519PrivateKey.from_private_bytes(bytes.fromhex(described["x25519"])),
        MLKEM768PrivateKey.from_seed_bytes(seed) if seed else None,
    )
    assert (key.public.public_key.hex(), key.key_id.hex()) == (described["public"], described["key_id"])
    return key


def opened(case: Any, key: RecipientKey) -> Any:
    context = {name: bytes.fromhex(case[name]) for name in CONTEXT}
    return open_sealed(bytes.fromhex(case["data"]), key, min_suite=case["min_suite"], **context)


@pytest.mark.vectors("sealed", "accepted")
def test_accepted(case: Any, recipients: dict[int, RecipientKey]) -> None:
    result = opened(case, recipients[case["suite"]])
    assert (result.signed.hex(), result.content_type, result.digest.hex()) == (case["signed"], case["content_type"], case["digest"])


@pytest.mark.vectors("sealed", "refused")
def test_refused(case: Any, recipients: dict[int, RecipientKey]) -> None:
    with pytest.raises(Refused) as refused:
        opened(case, recipients[case["suite"]])
    assert str(refused.value) == "OPEN_FAILED"


@pytest.mark.parametrize("suite", Suite)
def test_what_is_sealed_opens_with_the_key_of_its_boot(suite: Suite, compiler: SigningKey) -> None:
    key, older = RecipientKey.generate(suite), RecipientKey.generate(suite)
    signed = sign(Program(code="1"), compiler)
    data = seal(signed, content_type=PROGRAM, recipient=key.public, min_suite=suite, **CONTEXT)
    assert open_sealed(data, [older, key], min_suite=suite, **CONTEXT).signed == signed
    assert header_of(data).recipient_key_id == key.key_id
    for keys in (older, [older], []):
        with pytest.raises(Refused):
            open_sealed(data, keys, min_suite=suite, **CONTEXT)


def test_two_seals_of_one_message_differ(compiler: SigningKey) -> None:
    key, signed = RecipientKey.generate(Suite.MLKEM768_X25519_AES256GCM), sign(Program(), compiler)
    first, second = (seal(signed, content_type=PROGRAM, recipient=key.public, min_suite=2, **CONTEXT) for _ in range(2))
    assert first != second


def test_nothing_is_sealed_below_the_least_suite_or_as_what_it_is_not(compiler: SigningKey) -> None:
    weak, signed = RecipientKey.generate(Suite.X25519_CHACHA20POLY1305), sign(Program(), compiler)
    with pytest.raises(Refused):
        seal(signed, content_type=PROGRAM, recipient=weak.public, min_suite=2, **CONTEXT)
    with pytest.raises(Refused):
        seal(signed, content_type=payload_type(CredentialBundle), recipient=weak.public, min_suite=1, **CONTEXT)
    with pytest.raises(Refused):
        seal(b"not a signed message", content_type=PROGRAM, recipient=weak.public, min_suite=1, **CONTEXT)


def test_sealing_does_not_go_over_4_mib(compiler: SigningKey) -> None:
    key = RecipientKey.generate(Suite.MLKEM768_X25519_AES256GCM)
    signed = sign(Program(padding=bytes(MAX_MESSAGE - 1000)), compiler)
    with pytest.raises(Refused):
        seal(signed, content_type=PROGRAM, recipient=key.public, min_suite=2, **CONTEXT)
