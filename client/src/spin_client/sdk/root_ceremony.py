"""Changing who is the root, on paper first: pure functions over root documents as carried. docs/protocol.md, section 2.

- A document N+1 starts without signatures and gathers them, until the thresholds of N and of N+1 are reached; then the platform takes it.
- Who signs sees what changes against N, which N that is, and who will be root: a forged N hides no key. A key that is root in neither generation
  signs nothing.
"""

from collections.abc import Sequence

from spin_client.sdk.errors import SpinError
from spin_envelope import root_changes
from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.root import Proposal, TrustedRoot, build_root_document
from spin_envelope.root_changes import Standing
from spin_envelope.signing import countersigned, sign
from spinapis.envelope.v1.trust_pb2 import ROLE_ROOT, Role, RootDocument

MAX_ROOT_KEYS = 5


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
    try:
        return root_changes.standing(current, proposal)
    except Refused as refused:
        raise SpinError("INVALID_ARGUMENT", f"{refused.why}: fetch the newest, or make the proposal again") from None


def with_signature(current: TrustedRoot, proposal: Proposal, key: SigningKey) -> bytes:
    """The document as carried, with the key's signature. INVALID_ARGUMENT for a key that is no root."""
    roots = {known.key_id for known in (*current.keys(ROLE_ROOT), *proposal.keys(ROLE_ROOT))}
    if key.key_id not in roots:
        raise SpinError("INVALID_ARGUMENT", f"{key.key_id.hex()} is a root key neither of document {current.version} nor of the proposal")
    return countersigned(proposal.data, RootDocument, key)


def _service_roles(current: TrustedRoot) -> list[Role.ValueType]:
    listed = proposed_document(current.data).document.roles
    return [entry.role for entry in listed if entry.role != ROLE_ROOT]
