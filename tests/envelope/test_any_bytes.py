"""Whatever comes in is refused with `Refused`, or accepted; nothing else comes out, and memory stays bounded."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spin_envelope.digests import read_json, signed_digest, source_digest
from spin_envelope.errors import Refused
from spin_envelope.export import ExportInvalid, verify_export
from spin_envelope.export_format import read_entry, read_header
from spin_envelope.hpke_keys import check_recipient
from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.note import open_note, origin_of
from spin_envelope.pairing import SpinToken, TokenInvalid
from spin_envelope.parsing import parse
from spin_envelope.payloads import SPECS, payload_type
from spin_envelope.root import TrustedRoot
from spin_envelope.sealing import RecipientKey, Suite, header_of, open_sealed, seal
from spin_envelope.signing import sign, unverified, verify
from spinapis.envelope.v1.run_pb2 import Program
from spinapis.envelope.v1.signed_pb2 import PublicKey, Sealed, SignedMessage
from spinapis.envelope.v1.trust_pb2 import RootDocument

KEY = SigningKey.generate()
RECIPIENT = RecipientKey.generate(Suite.X25519_CHACHA20POLY1305)
CONTEXT = {"workspace_id": b"w" * 16, "runtime_id": b"r" * 16, "boot_id": b"b" * 16}
SIGNED = sign(Program(workspace_id=b"w" * 16, code="print(1)", user_expressions={"a": "b"}), KEY)
SEALED = seal(SIGNED, content_type=payload_type(Program), recipient=RECIPIENT.public, min_suite=1, **CONTEXT)

DECODERS: dict[str, Callable[[bytes], object]] = {
    "verify": lambda data: verify(data, Program, [KEY.verify_key]),
    "unverified": lambda data: [unverified(data, cls) for cls in SPECS],
    "signed_digest": signed_digest,
    "pinned": lambda data: TrustedRoot.pinned(data, None),
    "open_sealed": lambda data: open_sealed(data, RECIPIENT, min_suite=1, **CONTEXT),
    "header_of": header_of,
    "verify_key": VerifyKey,
    "x25519_recipient": lambda data: check_recipient(PublicKey(algorithm=257, public_key=data)),  # type: ignore[arg-type]
    "hybrid_recipient": lambda data: check_recipient(PublicKey(algorithm=258, public_key=data)),  # type: ignore[arg-type]
    "open_note": lambda data: open_note(data, [KEY.verify_key], origin_of(bytes(16))),
    "read_json": read_json,
    "read_header": read_header,
    "read_entry": read_entry,
    "payload": lambda data: [parse(data, cls) for cls in (*SPECS, SignedMessage, Sealed)],
}


def refused_or_accepted(decoder: Callable[[bytes], object], data: bytes) -> bool:
    try:
        decoder(data)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("name", DECODERS)
@settings(deadline=None, max_examples=150)
@given(data=st.binary(max_size=300) | st.text(max_size=60).map(str.encode))
def test_any_bytes(name: str, data: bytes) -> None:
    refused_or_accepted(DECODERS[name], data)


@pytest.mark.parametrize("name", ["verify", "open_sealed"])
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_real_message_with_anything_changed(name: str, data: st.DataObject) -> None:
    """Only changes that leave payload, type and signature as they were can be accepted: unknown fields, and repetitions."""
    real = SIGNED if name == "verify" else SEALED
    start = data.draw(st.integers(0, len(real)))
    changed = real[:start] + data.draw(st.binary(max_size=8)) + real[start + data.draw(st.integers(0, 8)) :]
    if refused_or_accepted(DECODERS[name], changed) and name == "verify":
        assert verify(changed, Program, [KEY.verify_key]).message == unverified(SIGNED, Program)


@settings(deadline=None, max_examples=150)
@given(
    st.builds(
        RootDocument,
        version=st.integers(0, 2),
        expires_at_ms=st.integers(-5, 5),
        keys=st.lists(st.builds(PublicKey, algorithm=st.sampled_from([0, 1, 257]), public_key=st.sampled_from([KEY.public, b""])), max_size=2),
    ),
    st.lists(st.tuples(st.integers(0, 7), st.lists(st.sampled_from([KEY.key_id, b""]), max_size=2), st.integers(0, 3)), max_size=3),
)
def test_any_root_document_that_is_signed(document: RootDocument, roles: list[tuple[int, list[bytes], int]]) -> None:
    for role, key_ids, threshold in roles:
        document.roles.add(role=role, key_ids=key_ids, threshold=threshold)  # type: ignore[arg-type]
    refused_or_accepted(lambda data: TrustedRoot.pinned(data, None), sign(document, KEY))


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=200) | st.text(max_size=140).map("spin1.".__add__))
def test_any_text_as_a_token(text: str) -> None:
    with pytest.raises(TokenInvalid):
        SpinToken.parse(text)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50))
def test_any_cell(cell_type: str, source: str, fields: str) -> None:
    refused_or_accepted(lambda _: source_digest(cell_type, source, fields), b"")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=100), max_size=3))
def test_any_lines_as_an_export(lines: list[bytes]) -> None:
    with pytest.raises(ExportInvalid):
        verify_export(lines)


GREEDY = """
import resource
from spin_envelope.errors import Refused
from spin_envelope.parsing import MAX_MESSAGE
from spin_envelope.signing import verify
from spinapis.envelope.v1.run_pb2 import Program
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for data in (b"\\x1a\\x00" * (MAX_MESSAGE // 2), b"\\x1a\\x00" * (MAX_MESSAGE // 2) + b"\\x00", b"\\x0b" * MAX_MESSAGE):
    try:
        verify(data, Program, [])
    except Refused:
        print("refused")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_the_most_expensive_message_takes_bounded_memory() -> None:
    """Two million empty signatures are the most that fit in a message."""
    done = subprocess.run([sys.executable, "-c", GREEDY], capture_output=True, text=True, timeout=60, check=True)
    *answers, kib = done.stdout.split()
    assert answers == ["refused"] * 3
    assert int(kib) < 256 * 1024
