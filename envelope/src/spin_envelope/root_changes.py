"""What a RootDocument on its way changes against the one before it, and whose signatures it has: what people look at before they sign.

- Nothing here trusts the proposal: it is shown with the digest of the document that it follows, and with all who will be root, changed or not, so
  that a forged document before it hides no key.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spin_envelope.errors import Refused
from spin_envelope.keys import VerifyKey
from spin_envelope.root import Proposal, Quorum, TrustedRoot
from spinapis.envelope.v1.trust_pb2 import ROLE_ROOT, Role


@dataclass(frozen=True)
class Standing:
    """What a document changes, and whose signatures it has and awaits."""

    changes: list[str]
    # What the changes are against, and who will be root.
    basis: list[str]
    old: Quorum
    new: Quorum

    @property
    def complete(self) -> bool:
        return self.old.complete and self.new.complete


def standing(current: TrustedRoot, proposal: Proposal) -> Standing:
    """Raises Refused when the proposal does not follow the current document."""
    if proposal.document.version != current.version + 1:
        raise Refused(f"root document {proposal.document.version} does not follow {current.version}")
    old = proposal.quorum(current.keys(ROLE_ROOT), current.threshold(ROLE_ROOT))
    return Standing(_changes(current, proposal), _basis(current, proposal), old, proposal.quorum(proposal.keys(ROLE_ROOT), proposal.threshold))


def role_name(role: Role.ValueType) -> str:
    return Role.Name(role).removeprefix("ROLE_").lower()


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
    before = {entry.role for entry in Proposal.of(current.data).document.roles}
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
