"""Sealed: one program in each suite, and everything that can be wrong with it. The two ciphertexts are random, so they are kept once made."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from make import material as m
from make.signed import PROGRAM
from spin_envelope.digests import sealed_digest
from spin_envelope.errors import Refused
from spin_envelope.payloads import payload_type
from spin_envelope.sealing import RecipientKey, Suite, open_sealed, seal
from spin_envelope.signing import sign
from spinapis.envelope.v1.run_pb2 import CredentialBundle, Program
from spinapis.envelope.v1.signed_pb2 import Sealed, SealedHeader

SIGNED = sign(PROGRAM, m.COMPILER)
CONTEXT = {"workspace_id": m.WORKSPACE, "runtime_id": m.RUNTIME, "boot_id": m.BOOT}
KIND = payload_type(Program)


def recipient(suite: Suite, name: str = "recipient") -> RecipientKey:
    mlkem = MLKEM768PrivateKey.from_seed_bytes(m.seed(name + " d") + m.seed(name + " z")) if suite == 2 else None
    return RecipientKey(suite, X25519PrivateKey.from_private_bytes(m.seed(name)), mlkem)


def make(current: Any) -> dict[str, Any]:
    kept = {case["name"]: bytes.fromhex(case["data"]) for case in (current or {}).get("accepted", ())}
    sealed = {suite: _current(kept.get(f"suite_{suite.value}", b""), suite) for suite in Suite}
    return {
        "recipients": [_recipient(suite) for suite in Suite],
        "accepted": [_case(f"suite_{suite.value}", data, suite) | _inside(data) for suite, data in sealed.items()],
        "refused": [case for suite, data in sealed.items() for case in _refused(suite, data)],
    }


def _current(data: bytes, suite: Suite) -> bytes:
    try:
        opened = open_sealed(data, recipient(suite), min_suite=1, **CONTEXT)
    except Refused:
        opened = None
    if opened and opened.signed == SIGNED:
        return data
    return seal(SIGNED, content_type=KIND, recipient=recipient(suite).public, min_suite=1, **CONTEXT)


def _recipient(suite: Suite) -> dict[str, Any]:
    key = recipient(suite)
    private = {"x25519": m.seed("recipient").hex(), "mlkem768_seed": (m.seed("recipient d") + m.seed("recipient z")).hex() if suite == 2 else ""}
    return {"suite": suite.value, "public": key.public.public_key.hex(), "key_id": key.key_id.hex()} | private


def _inside(data: bytes) -> dict[str, str]:
    return {"signed": SIGNED.hex(), "content_type": KIND, "digest": sealed_digest(data).hex()}


def _case(name: str, data: bytes, suite: Suite, **changed: Any) -> dict[str, Any]:
    context = {name: value.hex() for name, value in (CONTEXT | changed).items() if isinstance(value, bytes)}
    return {"name": name, "suite": suite.value, "min_suite": changed.get("min_suite", 1), "data": data.hex()} | context


def _refused(suite: Suite, data: bytes) -> list[dict[str, Any]]:
    sealed, other = Sealed.FromString(data), m.identifier("other")
    cases = {
        "empty": b"",
        "not_protobuf": b"\xff" * 40,
        "truncated": data[:-1],
        "ciphertext_empty": _with(sealed, ciphertext=b""),
        "ciphertext_cut_off": _with(sealed, ciphertext=sealed.ciphertext[:-1]),
        "ciphertext_bit_flipped": _with(sealed, ciphertext=sealed.ciphertext[:-1] + bytes([sealed.ciphertext[-1] ^ 1])),
        "encapsulated_key_bit_flipped": _with(sealed, ciphertext=bytes([sealed.ciphertext[0] ^ 1]) + sealed.ciphertext[1:]),
        "encapsulated_key_all_zero": _with(sealed, ciphertext=bytes(1120) + sealed.ciphertext[1120:]),
        "header_empty": _with(sealed, header=b""),
        "header_not_protobuf": _with(sealed, header=b"\xff" * 40),
        "header_spelled_otherwise": _with(sealed, header=sealed.header + b"\x08\x01"),
        "header_version_2": _with_header(sealed, version=2),
        "header_for_another_workspace": _with_header(sealed, workspace_id=other),
        "header_for_another_runtime": _with_header(sealed, runtime_id=other),
        "header_for_another_boot": _with_header(sealed, boot_id=other),
        "header_for_another_key": _with_header(sealed, recipient_key_id=m.seed("other")),
        "header_of_another_suite": _with_header(sealed, suite=3 - suite),
        "header_of_an_unknown_suite": _with_header(sealed, suite=3),
        "header_with_another_content_type": _with_header(sealed, content_type=payload_type(CredentialBundle)),
        "header_of_one_and_ciphertext_of_another": _with(sealed, ciphertext=_another(suite).ciphertext),
    }
    prefix = f"suite_{suite.value}_"
    return [
        *(_case(prefix + name, changed, suite) for name, changed in cases.items()),
        _case(prefix + "opened_by_another_workspace", data, suite, workspace_id=other),
        _case(prefix + "opened_by_another_runtime", data, suite, runtime_id=other),
        _case(prefix + "opened_after_a_restart", data, suite, boot_id=other),
        _case(prefix + "below_the_least_suite", data, suite, min_suite=suite + 1),
    ]


def _another(suite: Suite) -> Sealed:
    """No real ciphertext, so that it is the same each time: the X25519 base point as the encapsulated key, then zeros."""
    return Sealed(ciphertext=(b"\x09" + bytes(31)) * (1 if suite == 1 else 35) + bytes(200))


def _with(sealed: Sealed, **changed: bytes) -> bytes:
    made = Sealed.FromString(sealed.SerializeToString())
    for name, value in changed.items():
        setattr(made, name, value)
    return made.SerializeToString(deterministic=True)


def _with_header(sealed: Sealed, **changed: Any) -> bytes:
    header = SealedHeader.FromString(sealed.header)
    for name, value in changed.items():
        setattr(header, name, value)
    return _with(sealed, header=header.SerializeToString(deterministic=True))
