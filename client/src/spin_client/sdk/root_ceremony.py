"""Changing who is the root, on paper first: pure functions over root documents as carried. docs/protocol.md, section 2.

- A document N+1 starts without signatures and gathers them, until the thresholds of N and of N+1 are reached; then the platform takes it.
- Who signs sees what changes against N, which N that is, and who will be root: a forged N hides no key. A key that is root in neither generation
  signs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spin_client.sdk.errors import SpinError
from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.root import Proposal, Quorum, TrustedRoot, build_root_document
from spin_envelope.signing import countersigned, sign
from spinapis.envelope.v1.trust_pb2 import ROLE_ROOT, Role, RootDocument

MAX_ROOT_KEYS = 5


@dataclass(frozen=True)
class Standing:
    """What a document changes, and whose signatures it has and awaits."""

    changes: list[str]
    # What the changes are against, and who will be root, changed or not.
    basis: list[str]
    old: Quorum
    new: Quorum

    @property
    def complete(self) -> bool:
        return self.old.complete and self.new.complete


def current_document(data: bytes) -> TrustedRoot:
    """A root document that is in force. INVALID_ARGUMENT when it is none."""
    try:
        return TrustedRoot.pinned(data, None)
    except Refused:
        raise SpinError("INVALID_ARGUMENT", "this is no root document that its own root signed: fetch it with `spinctl root fetch`") from None


def proposed_document(data: bytes) -> Proposal:
    """A document that still gathers signatures. INVALID_ARGUMENT when it is none."""
    try:
        return Proposal.of(data)
    except Refused:
        raise SpinError("INVALID_ARGUMENT", "this is no root document: make one with `spinctl root propose` or `spin-service keys propose`") from None


def successor(current: TrustedRoot, root_keys: Sequence[bytes], threshold: int, expires_at_ms: int) -> bytes:
    """Document N+1 with these root keys and the other roles' as they are; unsigned."""
    if not 1 <= threshold <= len(root_keys) <= MAX_ROOT_KEYS:
        raise SpinError("INVALID_ARGUMENT", f"{threshold} of {len(root_keys)} root keys: give 1 to {MAX_ROOT_KEYS} and a threshold that they reach")
    roles = {ROLE_ROOT: list(root_keys)} | {role: [key.public for key in current.keys(role)] for role in _service_roles(current)}
    try:
        return sign(build_root_document(current.version + 1, expires_at_ms, roles, threshold))
    except Refused:
        raise SpinError("INVALID_ARGUMENT", "a root key is not valid, or it is given twice") from None


def standing(current: TrustedRoot, proposal: Proposal) -> Standing:
    """INVALID_ARGUMENT when the proposal does not follow the current document."""
    if proposal.document.version != current.version + 1:
        text = f"root document {proposal.document.version} does not follow {current.version}: fetch the newest, or make the proposal again"
        raise SpinError("INVALID_ARGUMENT", text)
    old = proposal.quorum(current.keys(ROLE_ROOT), current.threshold(ROLE_ROOT))
    return Standing(_changes(current, proposal), _basis(current, proposal), old, proposal.quorum(proposal.keys(ROLE_ROOT), proposal.threshold))


def with_signature(current: TrustedRoot, proposal: Proposal, key: SigningKey) -> bytes:
    """The document as carried, with the key's signature. INVALID_ARGUMENT for a key that is no root."""
    roots = {known.key_id for known in (*current.keys(ROLE_ROOT), *proposal.keys(ROLE_ROOT))}
    if key.key_id not in roots:
        raise SpinError("INVALID_ARGUMENT", f"{key.key_id.hex()} is a root key neither of document {current.version} nor of the proposal")
    return countersigned(proposal.data, RootDocument, key)


def role_name(role: Role.ValueType) -> str:
    return Role.Name(role).removeprefix("ROLE_").lower()


def _service_roles(current: TrustedRoot) -> list[Role.ValueType]:
    listed = proposed_document(current.data).document.roles
    return [entry.role for entry in listed if entry.role != ROLE_ROOT]


def _basis(current: TrustedRoot, proposal: Proposal) -> list[str]:
    roots = proposal.keys(ROLE_ROOT)
    return [
        f"follows root document {current.version} with the digest {current.digest.hex()}",
        f"root: {proposal.threshold} of {len(roots)}: {', '.join(key.key_id.hex() for key in roots)}",
    ]


def _changes(current: TrustedRoot, proposal: Proposal) -> list[str]:
    lines = []
    if proposal.threshold != current.threshold(ROLE_ROOT):
        lines.append(f"root threshold: {current.threshold(ROLE_ROOT)} becomes {proposal.threshold}")
    before = {entry.role for entry in proposed_document(current.data).document.roles}
    for role in sorted(before | {entry.role for entry in proposal.document.roles}):
        lines += _key_changes(role, current.keys(role) if role in before else [], proposal.keys(role))
    return lines


def _key_changes(role: Role.ValueType, old: Sequence[VerifyKey], new: Sequence[VerifyKey]) -> list[str]:
    name, known, kept = role_name(role), {key.key_id for key in old}, {key.key_id for key in new}
    lines = [f"{name}: {key.key_id.hex()} is added" for key in new if key.key_id not in known]
    lines += [f"{name}: {key.key_id.hex()} is removed" for key in old if key.key_id not in kept]
    if old and new and role != ROLE_ROOT and old[0].key_id != new[0].key_id:
        lines.append(f"{name}: signs with {new[0].key_id.hex()} from now on")
    return lines
