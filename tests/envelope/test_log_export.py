"""The export of a log: proved by itself, and false at the first line that lies."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from spin_envelope.base64_text import encode_base64
from spin_envelope.digests import body_commitment, signed_digest
from spin_envelope.export import ExportInvalid, Summary, verify_export
from spin_envelope.export_format import MAX_LINE
from spin_envelope.keys import SigningKey
from spin_envelope.merkle import Frontier, inclusion_proof, leaf_hash, nodes_of
from spin_envelope.note import Checkpoint, origin_of, sign_note
from spin_envelope.root import build_root_document
from spin_envelope.signing import sign
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant
from spinapis.envelope.v1.receipt_pb2 import LogLeaf, Receipt
from spinapis.envelope.v1.trust_pb2 import ROLE_AUDIT, ROLE_AUTH, ROLE_ROOT

WORKSPACE, RUNTIME = b"w" * 16, b"r" * 16
ROOT, OLD_AUTH, AUTH, AUDIT, IDENTITY = (SigningKey.from_seed(sha256(name).digest()) for name in (b"root", b"old", b"auth", b"audit", b"identity"))


def root_document(version: int, *auth: SigningKey) -> bytes:
    roles = {ROLE_ROOT: [ROOT.public], ROLE_AUTH: [key.public for key in auth], ROLE_AUDIT: [AUDIT.public]}
    return sign(build_root_document(version, 1, roles), ROOT)


ROOTS = [root_document(1, OLD_AUTH), root_document(2, AUTH)]


class Log:
    """A log as audit keeps it, small enough to keep whole: entries are dicts as an export shows them, without the proof."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.leaves: list[bytes] = []

    def add(self, kind: str, body: Any, receipt: bytes = b"", salt: bytes = b"salt") -> None:
        text = json.dumps(body).encode()
        digest = signed_digest(receipt) if receipt else b""
        leaf = LogLeaf(type=kind, body_commitment=body_commitment(salt, text), receipt_digest=digest).SerializeToString()
        self.leaves.append(leaf_hash(leaf))
        entry = {"index": len(self.entries), "leaf": leaf, "salt": salt, "body": text} | ({"receipt": receipt} if receipt else {})
        self.entries.append({name: encode_base64(value) if isinstance(value, bytes) else value for name, value in entry.items()})

    def header(self, kind: str) -> dict[str, Any]:
        return {
            "spin_export": 1,
            "workspace_id": WORKSPACE.hex(),
            "checkpoint": sign_note(Checkpoint(origin_of(WORKSPACE), len(self.leaves), self.root()), AUDIT),
            "root_documents": [encode_base64(data) for data in ROOTS],
            "kind": kind,
        }

    def root(self) -> bytes:
        frontier = Frontier()
        for leaf in self.leaves:
            frontier.append(leaf)
        return frontier.root()

    def full(self) -> list[dict[str, Any]]:
        return [self.header("full"), *(dict(entry) for entry in self.entries)]

    def session(self, *indexes: int) -> list[dict[str, Any]]:
        node, size = nodes_of(self.leaves), len(self.leaves)
        proofs = {index: [encode_base64(digest) for digest in inclusion_proof(node, index, size)] for index in indexes}
        return [self.header("session"), *(self.entries[index] | {"proof": proofs[index]} for index in indexes)]


def grant(by: SigningKey = OLD_AUTH, workspace: bytes = WORKSPACE, identity: SigningKey = IDENTITY) -> dict[str, str]:
    return {"enrol_grant": encode_base64(sign(EnrolGrant(workspace_id=workspace, runtime_id=RUNTIME, identity_key=identity.public), by))}


def receipt(number: int, previous: bytes, by: SigningKey = IDENTITY, workspace: bytes = WORKSPACE) -> bytes:
    prev = signed_digest(previous) if previous else bytes(32)
    return sign(Receipt(workspace_id=workspace, runtime_id=RUNTIME, receipt_seq=number, prev_digest=prev), by)


@pytest.fixture
def log() -> Log:
    made = Log()
    made.add("member.added", {"user": "ada"})
    made.add("runtime.enrolled", grant())
    first = receipt(1, b"")
    made.add("receipt.boot", {}, first)
    made.add("receipt.start", {}, receipt(2, first))
    made.add("member.added", {"user": "grace"})
    return made


def verified(lines: list[dict[str, Any]], root_digest: bytes | None = None) -> Summary:
    return verify_export((json.dumps(line).encode() + b"\n" for line in lines), root_digest)


def test_a_whole_log(log: Log) -> None:
    expected = Summary(WORKSPACE, full=True, tree_size=5, entries=5, receipts=2)
    assert verified(log.full()) == expected
    assert verified(log.full(), signed_digest(ROOTS[0])) == expected


def test_an_empty_log() -> None:
    assert verified(Log().full()) == Summary(WORKSPACE, full=True, tree_size=0)


def test_a_session_with_its_enrolment_and_without(log: Log) -> None:
    assert verified(log.session(1, 2, 3)) == Summary(WORKSPACE, full=False, tree_size=5, entries=3, receipts=2)
    assert verified(log.session(3)) == Summary(WORKSPACE, full=False, tree_size=5, entries=1, receipts_unproved=1)


def test_an_erased_body_and_a_withheld_receipt_are_counted(log: Log) -> None:
    lines = log.full()
    lines[1] |= {"salt": "", "body": ""}
    del lines[4]["receipt"]
    assert verified(lines) == Summary(WORKSPACE, full=True, tree_size=5, entries=5, erased_bodies=1, receipts=1, receipts_unproved=1)


def test_receipts_that_do_not_follow_one_on_another_are_counted(log: Log) -> None:
    third = receipt(3, receipt(2, b""))
    log.add("receipt.end", {}, third)
    log.add("receipt.end", {}, receipt(5, third))
    assert verified(log.full()).receipt_breaks == 2


def test_a_runtime_that_enrols_again_signs_with_its_new_identity(log: Log) -> None:
    log.add("runtime.enrolled", grant(by=AUTH, identity=AUDIT))
    log.add("receipt.boot", {}, receipt(3, receipt(2, receipt(1, b"")), by=AUDIT))
    assert verified(log.full()).receipts == 3


def change(place: int, **values: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda lines: lines[place].update(values)


LIES: dict[str, tuple[int, Callable[[list[dict[str, Any]]], Any]]] = {
    "format_of_another_version": (1, change(0, spin_export=2)),
    "kind_unknown": (1, change(0, kind="part")),
    "workspace_of_another": (1, change(0, workspace_id="00" * 16)),
    "workspace_not_hexadecimal": (1, change(0, workspace_id="x")),
    "checkpoint_missing": (1, lambda lines: lines[0].pop("checkpoint")),
    "checkpoint_signed_by_another": (1, change(0, checkpoint=sign_note(Checkpoint(origin_of(WORKSPACE), 5, bytes(32)), AUTH))),
    "root_documents_missing": (1, change(0, root_documents=[])),
    "root_documents_no_list": (1, change(0, root_documents="")),
    "root_documents_of_numbers": (1, change(0, root_documents=[1])),
    "root_document_skipped": (1, change(0, root_documents=[encode_base64(ROOTS[1]), encode_base64(ROOTS[0])])),
    "index_missing": (2, lambda lines: lines[1].pop("index")),
    "index_no_number": (2, change(1, index=True)),
    "index_negative": (2, change(1, index=-1)),
    "entry_left_out": (3, lambda lines: lines.pop(2)),
    "entry_repeated": (3, lambda lines: lines.insert(1, lines[1])),
    "leaf_missing": (2, lambda lines: lines[1].pop("leaf")),
    "leaf_not_base64": (2, change(1, leaf="?")),
    "leaf_in_another_spelling": (2, change(1, leaf="AB==")),
    "leaf_not_protobuf": (2, change(1, leaf=encode_base64(b"\xff"))),
    "body_changed": (2, change(1, body=encode_base64(b"{}"))),
    "salt_changed": (2, change(1, salt=encode_base64(b"pepper"))),
    "body_erased_and_salt_kept": (2, change(1, body="")),
    "receipt_of_another_entry": (4, lambda lines: lines[3].update(receipt=lines[4]["receipt"])),
    "receipt_where_none_is_named": (2, lambda lines: lines[1].update(receipt=lines[3]["receipt"])),
    "receipt_not_protobuf": (4, change(3, receipt=encode_base64(b"\xff"))),
    "leaf_changed": (6, change(5, leaf=encode_base64(LogLeaf().SerializeToString()), salt="", body="")),
    "entry_left_out_at_the_end": (5, lambda lines: lines.pop()),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_found_at_its_line(log: Log, name: str) -> None:
    line, lie = LIES[name]
    lines = log.full()
    lie(lines)
    with pytest.raises(ExportInvalid) as invalid:
        verified(lines)
    assert invalid.value.line == line
    assert str(invalid.value).startswith(f"line {line}")
    assert invalid.value.text


def test_another_root_than_the_known_one_is_refused(log: Log) -> None:
    with pytest.raises(ExportInvalid, match="line 1: a root document other than the pinned one"):
        verified(log.full(), bytes(32))


@pytest.mark.parametrize(
    "add",
    [
        lambda log: log.add("runtime.enrolled", grant(by=AUDIT)),
        lambda log: log.add("runtime.enrolled", grant(workspace=b"x" * 16)),
        lambda log: log.add("runtime.enrolled", {}),
        lambda log: log.add("runtime.enrolled", []),
        lambda log: log.add("receipt.end", {}, receipt(3, b"", by=AUDIT)),
        lambda log: log.add("receipt.end", {}, receipt(3, b"", workspace=b"x" * 16)),
    ],
    ids=["grant_by_another", "grant_of_another_workspace", "grant_missing", "grant_no_object", "receipt_by_another", "receipt_of_another_workspace"],
)
def test_what_was_logged_and_is_not_signed_as_it_should_is_found(log: Log, add: Callable[[Log], None]) -> None:
    add(log)
    with pytest.raises(ExportInvalid, match="line 7, entry 5: "):
        verified(log.full())


@pytest.mark.parametrize("change", [{"proof": []}, {"proof": ["AA=="]}, {"index": 2}, {"index": 9}], ids=["no_proof", "no_hash", "index", "outside"])
def test_a_session_entry_needs_its_own_proof(log: Log, change: dict[str, Any]) -> None:
    lines = log.session(3)
    lines[1] |= change
    with pytest.raises(ExportInvalid, match="line 2"):
        verified(lines)


def test_session_entries_stand_in_order_and_once(log: Log) -> None:
    for indexes in ((3, 2), (3, 3)):
        with pytest.raises(ExportInvalid, match="line 3"):
            verified(log.session(*indexes))


def test_lines_that_are_no_objects_or_too_long_and_no_lines_at_all(log: Log) -> None:
    for lines in ([b"[]"], [b"{"], [b"\xff"], [b" " * (MAX_LINE + 1)], []):
        with pytest.raises(ExportInvalid, match="line 1"):
            verify_export(lines)
