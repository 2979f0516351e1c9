"""Verifying a log's export, by itself and line by line. docs/protocol.md, section 7.

- The root documents are walked first (from a digest that the verifier knows by other means, if there is one), then the checkpoint's
  signature is checked, then each entry as it comes. Memory does not grow with the log.
- A full export is proved by recomputing the root, a session's by an inclusion proof for each entry.
- A receipt is proved by its digest in the leaf and the signature of the identity that `runtime.enrolled` (body:
  {"enrol_grant": base64}) names. What cannot be proved, because a body was erased or a session's export does not reach so far, is counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spin_envelope import merkle, note
from spin_envelope.base64_text import decode_base64
from spin_envelope.digests import body_commitment, read_json, signed_digest
from spin_envelope.errors import Refused
from spin_envelope.export_format import Entry, Header, read_entry, read_header
from spin_envelope.keys import VerifyKey
from spin_envelope.parsing import parse
from spin_envelope.root import TrustedRoot
from spin_envelope.signing import unverified, verify
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant
from spinapis.envelope.v1.receipt_pb2 import LogLeaf, Receipt
from spinapis.envelope.v1.trust_pb2 import ROLE_AUDIT, ROLE_AUTH

ENROLLED = "runtime.enrolled"


class ExportInvalid(Exception):
    """The first line that fails: its number from 1, the entry's index where it has one, and what is wrong."""

    def __init__(self, line: int, index: int | None, text: str) -> None:
        place = f"line {line}" if index is None else f"line {line}, entry {index}"
        super().__init__(f"{place}: {text}")
        self.line, self.index, self.text = line, index, text


@dataclass
class Summary:
    """What was proved."""

    workspace_id: bytes
    full: bool
    # Of the log at the checkpoint.
    tree_size: int
    entries: int = 0
    erased_bodies: int = 0
    receipts: int = 0
    # Receipts that the export does not carry, or whose runtime's enrolment it does not carry.
    receipts_unproved: int = 0
    # Full exports: places where a runtime's receipts do not follow one on another.
    receipt_breaks: int = 0


def verify_export(lines: Iterable[bytes], root_digest: bytes | None = None) -> Summary:
    """Raises ExportInvalid at the first line that fails."""
    verifier, number = None, 0
    for number, line in enumerate(lines, 1):
        index: int | None = None
        try:
            if verifier is None:
                verifier = _Verifier(read_header(line), root_digest)
                continue
            entry = read_entry(line)
            index = entry.index
            verifier.add(entry)
        except Refused as refused:
            raise ExportInvalid(number, index, refused.why) from None
    if verifier is None:
        raise ExportInvalid(1, None, "the export is empty")
    try:
        return verifier.finish()
    except Refused as refused:
        raise ExportInvalid(number, None, refused.why) from None


class _Verifier:
    def __init__(self, header: Header, root_digest: bytes | None) -> None:
        roots = _walk(header.root_documents, root_digest)
        origin = note.origin_of(header.workspace_id)
        self._checkpoint = note.open_note(header.checkpoint, roots[-1].keys(ROLE_AUDIT), origin)
        self._summary = Summary(header.workspace_id, header.full, self._checkpoint.size)
        self._receipts = _Receipts(self._summary, {key for root in roots for key in root.keys(ROLE_AUTH)})
        self._frontier = merkle.Frontier()
        self._next = 0

    def add(self, entry: Entry) -> None:
        self._place(entry)
        leaf = parse(entry.leaf, LogLeaf)
        if not entry.salt and not entry.body:
            self._summary.erased_bodies += 1
        elif body_commitment(entry.salt, entry.body) != leaf.body_commitment:
            raise Refused("the body is not the one that the leaf commits to")
        elif leaf.type == ENROLLED:
            self._receipts.enrol(entry.body)
        self._receipts.add(entry, leaf)
        self._summary.entries += 1

    def finish(self) -> Summary:
        if self._summary.full and (self._frontier.size, self._frontier.root()) != (self._checkpoint.size, self._checkpoint.root_hash):
            raise Refused(f"{self._frontier.size} entries do not hash to the checkpoint over {self._checkpoint.size}")
        return self._summary

    def _place(self, entry: Entry) -> None:
        """Proves that the leaf stands in the log, at its index; at once for a session, at the end for a whole log."""
        digest, checkpoint = merkle.leaf_hash(entry.leaf), self._checkpoint
        if entry.index < self._next or (self._summary.full and entry.index != self._next):
            raise Refused(f"entry {self._next} was expected")
        if self._summary.full:
            self._frontier.append(digest)
        else:
            merkle.verify_inclusion(digest, entry.index, checkpoint.size, entry.proof, checkpoint.root_hash)
        self._next = entry.index + 1


class _Receipts:
    """Receipts against the identities that the log itself enrolled."""

    def __init__(self, summary: Summary, auth_keys: set[VerifyKey]) -> None:
        self._summary = summary
        self._auth_keys = auth_keys
        self._identities: dict[bytes, VerifyKey] = {}
        # Number and digest of each runtime's newest receipt.
        self._last: dict[bytes, tuple[int, bytes]] = {}

    def enrol(self, body: bytes) -> None:
        members = read_json(body)
        text = members.get("enrol_grant") if isinstance(members, dict) else None
        if not isinstance(text, str):
            raise Refused("an enrolment without its grant")
        grant = verify(decode_base64(text), EnrolGrant, self._auth_keys).message
        if grant.workspace_id != self._summary.workspace_id:
            raise Refused("an enrolment in another workspace")
        self._identities[grant.runtime_id] = VerifyKey(grant.identity_key)

    def add(self, entry: Entry, leaf: LogLeaf) -> None:
        if not entry.receipt:
            self._summary.receipts_unproved += bool(leaf.receipt_digest)
            return
        if signed_digest(entry.receipt) != leaf.receipt_digest:
            raise Refused("the receipt is not the one that the leaf names")
        identity = self._identities.get(unverified(entry.receipt, Receipt).runtime_id)
        if identity is None:
            self._summary.receipts_unproved += 1
            return
        receipt = verify(entry.receipt, Receipt, [identity]).message
        if receipt.workspace_id != self._summary.workspace_id:
            raise Refused("a receipt of another workspace")
        self._summary.receipts += 1
        self._follow(receipt, leaf.receipt_digest)

    def _follow(self, receipt: Receipt, digest: bytes) -> None:
        number, previous = self._last.get(receipt.runtime_id, (0, bytes(32)))
        if self._summary.full and (receipt.receipt_seq, receipt.prev_digest) != (number + 1, previous):
            self._summary.receipt_breaks += 1
        self._last[receipt.runtime_id] = receipt.receipt_seq, digest


def _walk(documents: tuple[bytes, ...], digest: bytes | None) -> list[TrustedRoot]:
    """Every version of the root, oldest first; none is too old to verify an archive."""
    if not documents:
        raise Refused("an export without root documents")
    roots = [TrustedRoot.pinned(documents[0], digest)]
    for data in documents[1:]:
        roots.append(roots[-1].updated(data))
    return roots
