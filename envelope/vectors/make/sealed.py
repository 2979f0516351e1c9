"""Sealed: one program in each suite, and everything that can be wrong with it. Ciphertexts are random, so they are kept once made."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from make import material as m
from make.signed import PROGRAM
from spin_envelope.digests import sealed_digest
from spin_envelope.errors import Refused
from spin_envelope.hpke_keys import RecipientKey, Suite, encrypt
from spin_envelope.payloads import payload_type
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
    kept = {case["name"]: bytes.fromhex(case["data"]) for part in ("accepted", "refused") for case in (current or {}).get(part, ())}
    sealed = {suite: _sealed(kept, f"suite_{suite.value}", suite) for suite in Suite}
    return {
        "recipients": [_recipient(suite) for suite in Suite],
        "accepted": [_case(f"suite_{suite.value}", data, suite) | _inside(data) for suite, data in sealed.items()],
        "refused": [case for suite, data in sealed.items() for case in (*_refused(suite, data), *_well_sealed(kept, suite))],
    }


def _sealed(kept: dict[str, bytes], name: str, suite: Suite, plaintext: bytes = SIGNED, /, **changed: Any) -> bytes:
    """Sealed by someone who knows how, under a header that may be wrong; the ciphertext that is kept, if it is still the one of this case."""
    key = recipient(suite)
    fields: dict[str, Any] = {"version": 1, "suite": suite, "content_type": KIND, "recipient_key_id": key.key_id} | CONTEXT | changed
    header = SealedHeader(**fields).SerializeToString(deterministic=True)
    info = b"spin/hpke/v1\0" + header
    try:
        before = Sealed.FromString(kept.get(name, b""))
        if before.header == header and key.decrypt(before.ciphertext, info) == plaintext:
            return kept[name]
    except Refused:
        pass  # Made of other material: it is made again.
    return Sealed(header=header, ciphertext=encrypt(plaintext, key.public, info)).SerializeToString(deterministic=True)


def _well_sealed(kept: dict[str, bytes], suite: Suite) -> list[dict[str, Any]]:
    """What only the check itself refuses, because the ciphertext opens under its header."""
    other = m.identifier("other")
    cases: dict[str, dict[str, Any]] = {
        "with_version_2": {"version": 2},
        "with_another_suite": {"suite": 3 - suite},
        "with_another_content_type": {"content_type": payload_type(CredentialBundle)},
        "for_another_workspace": {"workspace_id": other},
        "for_another_runtime": {"runtime_id": other},
        "for_another_boot": {"boot_id": other},
        "for_another_key": {"recipient_key_id": m.seed("other")},
    }
    prefix = f"suite_{suite.value}_well_sealed_"
    garbage = prefix + "without_a_signed_message"
    return [
        *(_case(prefix + name, _sealed(kept, prefix + name, suite, SIGNED, **changed), suite) for name, changed in cases.items()),
        _case(garbage, _sealed(kept, garbage, suite, b"\xff" * 40), suite),
    ]


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
