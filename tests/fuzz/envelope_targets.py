"""Everything of the envelope that reads what somebody else wrote."""

import json
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from spin_envelope.chain import OutputChain
from spin_envelope.digests import canonical_json, read_json, signed_digest, source_digest
from spin_envelope.errors import Refused
from spin_envelope.export import ExportInvalid, verify_export
from spin_envelope.export_format import read_entry, read_header
from spin_envelope.hpke_keys import check_recipient
from spin_envelope.merkle import verify_consistency, verify_inclusion
from spin_envelope.note import open_note, unverified_checkpoint
from spin_envelope.pairing import SpinToken, TokenInvalid
from spin_envelope.parsing import parse
from spin_envelope.payloads import SPECS
from spin_envelope.root import Proposal, TrustedRoot
from spin_envelope.sealing import RecipientKey, Suite, header_of, open_sealed
from spin_envelope.signing import signed_by, unverified, verify
from spinapis.envelope.v1.run_pb2 import Program
from spinapis.envelope.v1.signed_pb2 import PublicKey
from spinapis.envelope.v1.trust_pb2 import ROLE_AUDIT, ROLE_ROOT, RootDocument
from spinapis.runtime.v1.frames_pb2 import LogProof, OutputBatch
from tests.fuzz.documents import by_role, key, payload_of, plane, root, wire
from tests.fuzz.export_lines import export_lines
from tests.fuzz.target import Target, text_of

VECTORS = Path(__file__).resolve().parents[2] / "envelope/vectors"
# What is opened is refused before any key counts, or by the key: any of the suite's will do.
SEALED_FOR = {name: bytes(16) for name in ("workspace_id", "runtime_id", "boot_id")}
ORIGIN = f"spin/{'77' * 16}"


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def spread(cases: list[Any], most: int = 16) -> list[Any]:
    return cases[:: max(1, len(cases) // most)]


@cache
def recipient(suite: int) -> RecipientKey:
    return RecipientKey.generate(Suite(suite))


def signed_message(data: bytes) -> None:
    keys = [one.verify_key for one in plane().keys.values()]
    signed_digest(data)
    signed_by(data, Program, keys)
    unverified(data, Program)
    verify(data, Program, keys)


def payload(data: bytes) -> None:
    for cls in SPECS:
        parse(data, cls)


def sealed(data: bytes) -> None:
    header = header_of(data)
    place = {"workspace_id": header.workspace_id, "runtime_id": header.runtime_id, "boot_id": header.boot_id}
    open_sealed(data, recipient(1), min_suite=1, **place)


def root_document(data: bytes) -> None:
    """The first byte says whether the rest is carried as it is, or is a payload that the root's key signs."""
    document = by_role(data[1:], RootDocument, ROLE_ROOT) if data[:1] == b"\1" else data[1:]
    Proposal.of(document).quorum([key("another").verify_key], 1)
    TrustedRoot.pinned(document, None)
    root().updated(document)


def note(data: bytes) -> None:
    unverified_checkpoint(data, ORIGIN)
    open_note(data, root().keys(ROLE_AUDIT), ORIGIN)


def export_line(data: bytes) -> None:
    with suppress(Refused):
        read_header(data)
    read_entry(data)


def output_chain(data: bytes) -> None:
    batch = parse(data, OutputBatch)
    OutputChain().extend((output.kind, output.body) for output in batch.outputs)


def log_proof(data: bytes) -> None:
    proof = parse(data, LogProof)
    head = unverified_checkpoint(proof.note, ORIGIN)
    hashes = tuple(proof.hashes)
    with suppress(Refused):
        verify_inclusion(bytes(32), proof.from_size, head.size, hashes, head.root_hash)
    verify_consistency(proof.from_size, bytes(32), head.size, head.root_hash, hashes)


def recipient_key(data: bytes) -> None:
    check_recipient(parse(data, PublicKey))


def canonical(data: bytes) -> None:
    canonical_json(read_json(data))
    source_digest("python", text_of(data), text_of(data))


def _signed_seeds() -> Iterable[bytes]:
    cases = vectors("signed")
    return [bytes.fromhex(case["data"]) for case in [*cases["accepted"], *spread(cases["refused"])] if len(case["data"]) < 4000]


def _sealed_seeds() -> Iterable[bytes]:
    cases = vectors("sealed")
    return [bytes.fromhex(case["data"]) for case in [*cases["accepted"], *spread(cases["refused"])] if len(case["data"]) < 8000]


def _root_seeds() -> Iterable[bytes]:
    documents = [bytes.fromhex(text) for case in spread(vectors("roots")["accepted"], 6) for text in case["documents"][:2]]
    documents += [*plane().root_documents]
    return [seed for data in documents for seed in (b"\0" + data, b"\1" + payload_of(data))]


def _note_seeds() -> Iterable[bytes]:
    cases = vectors("logs")["notes"]
    own = plane().checkpoint(7)
    return [own, *(case["note"].encode() for case in [*cases["accepted"], *spread(cases["refused"])] if len(case["note"]) < 4000)]


def _proof_seeds() -> Iterable[bytes]:
    return [wire(LogProof(from_size=size, note=plane().checkpoint(7), hashes=[bytes([n]) * 32 for n in range(size)])) for size in (0, 1, 3, 7)]


def _json_seeds() -> Iterable[bytes]:
    cases = vectors("formats")
    return [case["json"].encode() for case in [*cases["params"], *cases["json_refused"]]]


def _chain_seeds() -> Iterable[bytes]:
    batch = OutputBatch()
    for case in vectors("formats")["chain"]:
        batch.outputs.add(index=len(batch.outputs) + 1, kind=case["kind"], body=bytes.fromhex(case["body"])[:100])
    return [wire(batch)]


def _token_seeds() -> Iterable[bytes]:
    cases = vectors("formats")["token"]
    return [case["text"].encode() for case in [*cases["accepted"], *cases["refused"]]]


TARGETS = (
    Target("envelope.signed_message", signed_message, (Refused,), _signed_seeds),
    Target("envelope.payload", payload, (Refused,), lambda: [b"", *(payload_of(data) for data in [*_signed_seeds()][:10])]),
    Target("envelope.sealed", sealed, (Refused,), _sealed_seeds),
    Target("envelope.root_document", root_document, (Refused,), _root_seeds),
    Target("envelope.note", note, (Refused,), _note_seeds),
    Target("envelope.log_proof", log_proof, (Refused,), _proof_seeds),
    Target("envelope.spin_token", lambda data: SpinToken.parse(text_of(data)), (TokenInvalid,), _token_seeds),
    Target("envelope.recipient_key", recipient_key, (Refused,), lambda: [wire(recipient(suite).public) for suite in (1, 2)]),
    Target("envelope.json", canonical, (Refused,), _json_seeds),
    Target("envelope.output_chain", output_chain, (Refused,), _chain_seeds),
    Target("envelope.export_line", export_line, (Refused,), export_lines),
    Target("envelope.export", lambda data: verify_export(data.split(b"\n")), (ExportInvalid,), lambda: [b"\n".join(export_lines())]),
)
