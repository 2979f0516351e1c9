"""Approvals that a grant carries. docs/protocol.md, section 5. Pure.

- auth says that a second person approved; what was approved must be just what the grant allows: who, which cell, which uses, all of them.
- An approval that does not fit makes the grant contradict itself: it is refused, not passed over.
"""

from spin_envelope.errors import Refused
from spin_runtime.broker.refusals import Denial
from spin_runtime.broker.trust import SKEW_MS, Trust
from spinapis.envelope.v1 import run_pb2
from spinapis.errors.v1 import reasons_pb2

APPROVED = ("user_id", "notebook_id", "cell_id", "source_digest")


def check_approvals(grant: run_pb2.RunGrant, trust: Trust, now_ms: int) -> bool:
    """Whether a second person approved the run. Raises Denial for approvals that are not of this run."""
    for data in grant.approvals:
        _check(data, grant, trust, now_ms)
    return bool(grant.approvals)


def _check(data: bytes, grant: run_pb2.RunGrant, trust: Trust, now_ms: int) -> None:
    try:
        approval = trust.root.verify(data, run_pb2.Approval, now_ms, trust.revoked).message
    except Refused as refused:
        raise _mismatch(refused.why) from None
    differing = [field for field in APPROVED if getattr(approval, field) != getattr(grant, field)]
    if differing or list(approval.actor_chain) != list(grant.actor_chain) or _uses(approval) != _uses(grant):
        raise _mismatch(f"approval and grant differ in {differing[0] if differing else 'actors or uses'}")
    if approval.approver_id in ("", grant.user_id):
        raise _mismatch("approved by who runs it")
    # The grant was issued while the approval was valid; it is the grant's own time that runs from there.
    if not approval.issued_at_ms - SKEW_MS <= grant.issued_at_ms <= approval.expires_at_ms + SKEW_MS:
        raise _mismatch("granted outside the approval's time")


def _uses(document: run_pb2.Approval | run_pb2.RunGrant) -> list[bytes]:
    uses = document.uses if isinstance(document, run_pb2.Approval) else document.connections
    return sorted(_approved(use).SerializeToString(deterministic=True) for use in uses)


def _approved(use: run_pb2.ConnectionUse) -> run_pb2.ConnectionUse:
    """What an approval speaks of: who else may use a connection changes, and is nothing that somebody approves."""
    said = run_pb2.ConnectionUse()
    said.CopyFrom(use)
    said.ClearField("able")
    return said


def _mismatch(why: str) -> Denial:
    text = "The approval is not of this run: ask for another one, and run the cell again."
    return Denial(reasons_pb2.ERROR_REASON_GRANT_MISMATCH, text, why)
