"""SignedMessage: what verifies, what does not, and that the table alone says who signs what."""

import re
from typing import Any

import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.parsing import MAX_MESSAGE
from spin_envelope.payloads import SPECS, Signer, payload_type, spec_of
from spin_envelope.signing import sign, unverified, verify
from spinapis.envelope.v1.run_pb2 import Program, RunNonce

# Field 2047, holding "?": legal on the wire.
UNKNOWN_FIELD = b"\xfa\x7f\x01?"
MESSAGES = {cls.DESCRIPTOR.name: cls for cls in SPECS}


def verified(case: Any) -> Any:
    keys = [VerifyKey(bytes.fromhex(public)) for public in case["keys"]]
    revoked = {bytes.fromhex(kid) for kid in case["revoked"]}
    return verify(bytes.fromhex(case["data"]), MESSAGES[case["message"]], keys, case["threshold"], revoked)


@pytest.mark.vectors("signed", "accepted")
def test_accepted(case: Any) -> None:
    result = verified(case)
    assert result.digest.hex() == case["digest"] == signed_digest(result.data).hex()
    assert sorted(kid.hex() for kid in result.key_ids) == case["key_ids"]
    assert unverified(result.data, type(result.message)) == result.message


@pytest.mark.vectors("signed", "refused")
def test_refused(case: Any) -> None:
    with pytest.raises(Refused) as refused:
        verified(case)
    assert str(refused.value) == "OPEN_FAILED"
    assert refused.value.why


def test_the_digest_does_not_depend_on_who_signed(compiler: SigningKey, auth: SigningKey) -> None:
    program = Program(code="1")
    assert signed_digest(sign(program, compiler)) == signed_digest(sign(program, compiler, auth))


def test_a_message_of_4_mib_is_the_largest(compiler: SigningKey) -> None:
    overhead = len(sign(Program(padding=bytes(2**21)), compiler)) - 2**21
    largest = sign(Program(padding=bytes(MAX_MESSAGE - overhead)), compiler)
    assert len(largest) == MAX_MESSAGE
    assert verify(largest, Program, [compiler.verify_key]).message.padding
    with pytest.raises(Refused):
        sign(Program(padding=bytes(MAX_MESSAGE - overhead + 1)), compiler)
    with pytest.raises(Refused):
        verify(largest + UNKNOWN_FIELD, Program, [compiler.verify_key])


def test_a_message_that_nobody_signs_is_refused(compiler: SigningKey) -> None:
    with pytest.raises(Refused):
        sign(RunNonce(), compiler)


def test_every_payload_type_is_its_message_in_kebab_case_and_unique() -> None:
    for cls, spec in SPECS.items():
        kebab = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.DESCRIPTOR.name).lower()
        assert spec.payload_type == payload_type(cls) == f"application/vnd.spin.{kebab}.v1+protobuf"
    assert len({spec.payload_type for spec in SPECS.values()}) == len(SPECS)


def test_every_signer_signs_something_and_only_a_request_needs_two() -> None:
    assert {signer for spec in SPECS.values() for signer in spec.signers} == set(Signer)
    assert [cls.DESCRIPTOR.name for cls in SPECS if len(spec_of(cls).signers) > 1] == ["EnrolRequest"]
