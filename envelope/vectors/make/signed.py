"""SignedMessage: one program or request, and everything that can be wrong with its envelope."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from make import material as m
from spin_envelope.digests import pae, signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.payloads import payload_type
from spin_envelope.signing import sign
from spinapis.envelope.v1.attach_pb2 import Challenge
from spinapis.envelope.v1.enrol_pb2 import EnrolRequest
from spinapis.envelope.v1.run_pb2 import Program, RunGrant
from spinapis.envelope.v1.signed_pb2 import Signature, SignedMessage

# RFC 8032, section 5.1: the order of the base point.
L = 2**252 + 27742317777372353535851937790883648493

PROGRAM = Program(workspace_id=m.WORKSPACE, user_id="ada", cell_id="c1", code="print('hé')\n", cell_type="python")
REQUEST = EnrolRequest(workspace_id=m.WORKSPACE, identity_key=m.IDENTITY.public, nonce=m.seed("nonce"), suites=[2, 1])
# Field 2047, length-delimited, holding "?": from a version of the protocol that does not exist.
UNKNOWN_FIELD = b"\xfa\x7f\x01?"


def make() -> dict[str, Any]:
    return {"accepted": _accepted(), "refused": _refused()}


def _case(
    name: str, data: bytes, *keys: SigningKey, cls: type[Message] = Program, threshold: int = 1, revoked: Sequence[SigningKey] = ()
) -> dict[str, Any]:
    return {
        "name": name,
        "message": cls.DESCRIPTOR.name,
        "data": data.hex(),
        "keys": [key.public.hex() for key in keys],
        "threshold": threshold,
        "revoked": [key.key_id.hex() for key in revoked],
    }


def _accepted_case(name: str, data: bytes, signers: Sequence[SigningKey], *keys: SigningKey, **more: Any) -> dict[str, Any]:
    return _case(name, data, *keys, **more) | {"digest": signed_digest(data).hex(), "key_ids": sorted(key.key_id.hex() for key in signers)}


def _raw(payload: bytes, kind: str, *signatures: Signature) -> bytes:
    return SignedMessage(payload=payload, payload_type=kind, signatures=signatures).SerializeToString(deterministic=True)


def _signature(payload: bytes, kind: str, key: SigningKey) -> Signature:
    return Signature(sig=key.sign(pae(kind, payload)), key_id=key.key_id)


def _by_compiler(payload: bytes, kind: str = payload_type(Program)) -> bytes:
    return _raw(payload, kind, _signature(payload, kind, m.COMPILER))


def _accepted() -> list[dict[str, Any]]:
    program, payload = sign(PROGRAM, m.COMPILER), PROGRAM.SerializeToString(deterministic=True)
    return [
        _accepted_case("program_by_compiler", program, [m.COMPILER], m.COMPILER),
        _accepted_case("signed_by_the_next_key", program, [m.COMPILER], m.STRANGER, m.COMPILER),
        _accepted_case("one_more_signature_by_a_stranger", sign(PROGRAM, m.STRANGER, m.COMPILER), [m.COMPILER], m.COMPILER),
        _accepted_case(
            "request_by_identity_and_pairing_key",
            sign(REQUEST, m.IDENTITY, m.PAIRING),
            [m.IDENTITY, m.PAIRING],
            m.IDENTITY,
            m.PAIRING,
            cls=EnrolRequest,
        ),
        _accepted_case("two_of_three", sign(PROGRAM, m.AUTH, m.COMPILER), [m.AUTH, m.COMPILER], m.AUTH, m.SECRETS, m.COMPILER, threshold=2),
        _accepted_case("empty_payload", sign(Challenge(), m.AUTH), [m.AUTH], m.AUTH, cls=Challenge),
        _accepted_case("unknown_field_in_the_payload", _by_compiler(payload + UNKNOWN_FIELD), [m.COMPILER], m.COMPILER),
        _accepted_case("unknown_field_in_the_envelope", program + UNKNOWN_FIELD, [m.COMPILER], m.COMPILER),
        _accepted_case("payload_twice_and_the_last_one_is_signed", _payload_field(b"") + program, [m.COMPILER], m.COMPILER),
        _accepted_case("other_key_revoked", program, [m.COMPILER], m.COMPILER, revoked=[m.STRANGER]),
    ]


def _payload_field(payload: bytes) -> bytes:
    return b"\x0a" + bytes([len(payload)]) + payload


def _refused() -> list[dict[str, Any]]:
    program, payload, kind = sign(PROGRAM, m.COMPILER), PROGRAM.SerializeToString(deterministic=True), payload_type(Program)
    grant = sign(RunGrant(workspace_id=m.WORKSPACE), m.COMPILER)
    good = _signature(payload, kind, m.COMPILER)
    cases = {
        "empty": b"",
        "not_protobuf": b"\xff" * 40,
        "truncated": program[:-1],
        "no_signature": _raw(payload, kind),
        "signed_by_another_key": sign(PROGRAM, m.STRANGER),
        "signed_by_another_key_under_the_right_id": _raw(payload, kind, Signature(sig=m.STRANGER.sign(pae(kind, payload)), key_id=m.COMPILER.key_id)),
        "signed_by_the_right_key_under_another_id": _raw(payload, kind, Signature(sig=good.sig, key_id=m.STRANGER.key_id)),
        "signature_without_key_id": _raw(payload, kind, Signature(sig=good.sig)),
        "signature_bit_flipped": _raw(payload, kind, Signature(sig=_flipped(good.sig), key_id=good.key_id)),
        "signature_too_short": _raw(payload, kind, Signature(sig=good.sig[:63], key_id=good.key_id)),
        "signature_not_reduced": _raw(payload, kind, Signature(sig=_not_reduced(good.sig), key_id=good.key_id)),
        "signature_over_the_payload_alone": _raw(payload, kind, Signature(sig=m.COMPILER.sign(payload), key_id=good.key_id)),
        "payload_bit_flipped": _raw(_flipped(payload), kind, good),
        "payload_twice_and_the_first_one_is_signed": program + _payload_field(b""),
        "another_payload_type": grant,
        "payload_type_changed_after_signing": _raw(
            RunGrant(workspace_id=m.WORKSPACE).SerializeToString(), kind, SignedMessage.FromString(grant).signatures[0]
        ),
        "payload_type_unknown": _by_compiler(payload, "application/vnd.spin.program.v2+protobuf"),
        "payload_type_missing": _by_compiler(payload, ""),
        "payload_type_not_utf8": _by_compiler(payload).replace(b"application", b"\xffpplication"),
        "payload_not_protobuf": _by_compiler(b"\xff" * 40),
        "payload_text_not_utf8": _by_compiler(b"\x12\x01\xff"),
        "too_many_signatures": _raw(payload, kind, *[good] * 17),
    }
    return [
        *(_case(name, data, m.COMPILER) for name, data in cases.items()),
        _case("no_keys", program),
        _case("key_revoked", program, m.COMPILER, revoked=[m.COMPILER]),
        _case("threshold_not_reached", program, m.COMPILER, m.AUTH, threshold=2),
        _case("one_key_signed_twice", sign(PROGRAM, m.COMPILER, m.COMPILER), m.COMPILER, m.AUTH, threshold=2),
        _case("one_key_given_twice", program, m.COMPILER, m.COMPILER, threshold=2),
        _case("request_without_the_pairing_key", sign(REQUEST, m.IDENTITY), m.IDENTITY, m.PAIRING, cls=EnrolRequest),
        _case("request_without_the_identity", sign(REQUEST, m.PAIRING), m.IDENTITY, m.PAIRING, cls=EnrolRequest),
    ]


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _not_reduced(signature: bytes) -> bytes:
    """The other spelling of a signature: S + L instead of S, which RFC 8032 forbids."""
    return signature[:32] + (int.from_bytes(signature[32:], "little") + L).to_bytes(32, "little")
