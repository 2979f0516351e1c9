"""A small log's export whose every signature is good: an enrolment, a receipt and an entry whose body was erased."""

import json
from typing import Any

from spin_envelope import merkle
from spin_envelope.base64_text import encode_base64
from spin_envelope.digests import body_commitment, signed_digest
from spin_envelope.note import Checkpoint, origin_of, sign_note
from spin_envelope.signing import sign
from spinapis.envelope.v1.receipt_pb2 import RECEIPT_TYPE_BOOT, LogLeaf, Receipt
from spinapis.envelope.v1.trust_pb2 import ROLE_AUDIT
from tests.fuzz.documents import IDENTITY, plane, request, wire

SALT = bytes(32)


def export_lines() -> list[bytes]:
    workspace_id = plane().workspace_id
    receipt = sign(Receipt(workspace_id=workspace_id, runtime_id=plane().runtime_id, receipt_seq=1, type=RECEIPT_TYPE_BOOT), IDENTITY)
    enrolment = json.dumps({"enrol_grant": encode_base64(plane().enrol(request()))}).encode()
    entries = [_entry(0, "runtime.enrolled", enrolment), _entry(1, "receipt.boot", b"{}", receipt), _entry(2, "erased", b"")]
    frontier = merkle.Frontier()
    for entry in entries:
        frontier.append(merkle.leaf_hash(entry.pop("raw")))
    note = sign_note(Checkpoint(origin_of(workspace_id), frontier.size, frontier.root()), plane().keys[ROLE_AUDIT])
    documents = [encode_base64(data) for data in plane().root_documents]
    header = {"spin_export": 1, "kind": "full", "workspace_id": workspace_id.hex(), "checkpoint": note, "root_documents": documents}
    return [json.dumps(line).encode() for line in (header, *entries)]


def _entry(index: int, kind: str, body: bytes, receipt: bytes = b"") -> dict[str, Any]:
    commitment = body_commitment(SALT, body)
    leaf = wire(LogLeaf(type=kind, body_commitment=commitment, receipt_digest=signed_digest(receipt) if receipt else b""))
    parts = {"leaf": leaf, "salt": SALT if body else b"", "body": body, "receipt": receipt}
    return {"index": index, "raw": leaf} | {name: encode_base64(part) for name, part in parts.items()}
