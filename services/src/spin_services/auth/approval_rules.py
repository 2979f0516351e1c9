"""What an approval is bound to, who may give it, and when it counts. Pure; time is an argument.

Rules: an approval is of one run by one caller, of one cell as it was written, with exactly its uses of connections, as these were when it was
asked for; it counts once and for a while; nobody approves what was asked in their own name, whoever acted for them; who decides may do so in the
workspace of the run and in those whose connections ask for the approval, so that owning a child workspace lifts no guard of its parent's.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from spin_services.auth.tables import ApprovalRow
from spin_services.rpc.errors import ErrorReason, ServiceError, invalid
from spin_services.rpc.policy import ROLE_PERMISSIONS
from spinapis.auth.v1.approvals_pb2 import ApprovalState, RequestApprovalRequest
from spinapis.envelope.v1.run_pb2 import ConnectionUse

REQUEST_LIFE_MS = 24 * 3600 * 1000
USUAL_LIFE_MS = 15 * 60 * 1000
LONGEST_LIFE_MS = 24 * 3600 * 1000
NOTE_MAXIMUM = 1000
DECIDING_ROLES = frozenset(role for role, permissions in ROLE_PERMISSIONS.items() if "approval.decide" in permissions)

PENDING, APPROVED, USED = ApprovalState.APPROVAL_STATE_PENDING, ApprovalState.APPROVAL_STATE_APPROVED, ApprovalState.APPROVAL_STATE_USED
_OPEN = (PENDING, APPROVED)


def subject(user_id: str, actor_chain: Sequence[str], notebook_id: str, cell_id: str, source_digest: bytes, uses: Sequence[ConnectionUse]) -> str:
    """Names what is approved: two runs have the same subject when one approval would do for either."""
    listed = [[use.connection_id.hex(), sorted(use.operations), use.params_digest.hex(), use.connection_version] for use in uses]
    parts = [user_id, list(actor_chain), notebook_id, cell_id, source_digest.hex(), sorted(listed)]
    return hashlib.sha256(b"spin/approval/v1\0" + json.dumps(parts).encode()).hexdigest()


def state_of(row: ApprovalRow, now_ms: int) -> ApprovalState.ValueType:
    """What it is now: time is over without anybody writing it."""
    state = ApprovalState.ValueType(row.state)
    return ApprovalState.APPROVAL_STATE_EXPIRED if state in _OPEN and now_ms >= row.expires_at_ms else state


def check_note(field: str, text: str) -> str:
    if len(text) > NOTE_MAXIMUM:
        raise invalid(field, f"A note has at most {NOTE_MAXIMUM} characters.")
    return text.strip()


def check_uses(request: RequestApprovalRequest) -> None:
    """What is approved must be known: parameters that depend on the notebook's variables are not."""
    if any(use.connection_id and not use.params_digest for use in request.uses):
        raise ServiceError(
            ErrorReason.ERROR_REASON_CELL_INVALID,
            "What this cell asks of the connection depends on variables, so nobody can approve it: write the values into the cell.",
        )


def places(row: ApprovalRow) -> list[str]:
    """The workspaces in each of which somebody must be able to decide."""
    return [row.workspace_id, *RequestApprovalRequest.FromString(row.request).guarding_workspace_ids]


def approvers(row: ApprovalRow, deciders: Mapping[str, Sequence[str]]) -> list[str]:
    """Who may decide on it, given who may decide at all in each of its places."""
    first, *others = places(row)
    return [user_id for user_id in deciders[first] if user_id != row.requested_by and all(user_id in deciders[place] for place in others)]


def check_decider(row: ApprovalRow, user_id: str, deciders: Mapping[str, Sequence[str]]) -> None:
    if user_id == row.requested_by:
        raise ServiceError(
            ErrorReason.ERROR_REASON_PERMISSION_DENIED,
            "This was asked for in your name, so somebody else has to decide.",
            permission="approval.decide",
        )
    if user_id not in approvers(row, deciders):
        raise ServiceError(
            ErrorReason.ERROR_REASON_PERMISSION_DENIED,
            "The connection is another workspace's: somebody who may approve there has to decide.",
            permission="approval.decide",
        )


def check_open(row: ApprovalRow, now_ms: int, *states: ApprovalState.ValueType) -> None:
    state = state_of(row, now_ms)
    if state not in states:
        raise ServiceError(ErrorReason.ERROR_REASON_APPROVAL_CLOSED, state=ApprovalState.Name(state))


def life_ms(asked: int) -> int:
    if not 0 <= asked <= LONGEST_LIFE_MS:
        raise invalid("valid_ms", "An approval lasts 24 hours at most; 0 means 15 minutes.")
    return asked or USUAL_LIFE_MS
