"""PolicyService: what a workspace's owner decides for everyone in it.

Rules: a change is written to the log inside its transaction, before the commit; what counts is answered beside what was chosen.
"""

import json
from collections.abc import Callable
from typing import Any

from spin_services.auth import domain, policy_rules, wire
from spin_services.auth.policies import WorkspacePolicies
from spin_services.auth.store import Policies
from spin_services.auth.tables import WorkspacePolicyRow
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.errors import etag_mismatch
from spin_services.rpc.identity import current_caller
from spinapis.audit.v1.audit_pb2 import NewEntry
from spinapis.auth.v1 import policy_pb2 as pb
from spinapis.auth.v1.policy_pb2_grpc import PolicyServiceServicer
from spinapis.envelope.v1.attach_pb2 import EgressMode


class PolicyService(PolicyServiceServicer):
    def __init__(self, policies: Policies, workspaces: WorkspacePolicies, log: AuditLog, clock: Callable[[], int]) -> None:
        self._policies = policies
        self._workspaces = workspaces
        self._log = log
        self._clock = clock

    async def GetWorkspacePolicy(self, request: pb.GetWorkspacePolicyRequest, context: Any) -> pb.GetWorkspacePolicyResponse:
        row = await self._workspaces.own(request.workspace_id)
        return pb.GetWorkspacePolicyResponse(policy=wire.policy(row, await self._workspaces.effective_egress(request.workspace_id)))

    async def UpdateWorkspacePolicy(self, request: pb.UpdateWorkspacePolicyRequest, context: Any) -> pb.UpdateWorkspacePolicyResponse:
        caller = current_caller()
        async with self._policies.changing() as change:
            row = await change.policy(request.workspace_id)
            if request.etag != wire.policy_etag(row):
                raise etag_mismatch("policy")
            before = _logged_fields(row)
            _apply(row, request)
            effective = await self._workspaces.effective_egress(request.workspace_id, row)
            policy_rules.check_fits(effective)
            if (after := _logged_fields(row)) != before:
                row.version += 1
                row.updated_at_ms, row.updated_by = self._clock(), caller.user_id
                await change.save(row)
                entry = NewEntry(idempotency_key=domain.new_id(), type="workspace.policy_changed", user_id=caller.user_id)
                entry.subjects.append(f"workspace:{request.workspace_id}")
                entry.body_json = json.dumps(after | {"before": before})
                await self._log.append(request.workspace_id, entry)
            answer = wire.policy(row, effective)
        return pb.UpdateWorkspacePolicyResponse(policy=answer)


def _apply(row: WorkspacePolicyRow, request: pb.UpdateWorkspacePolicyRequest) -> None:
    if request.HasField("egress"):
        wanted = policy_rules.checked_egress(request.egress)
        row.egress_mode, row.egress_hosts = wanted.mode, json.dumps(list(wanted.hosts))
    if request.HasField("trust_grace_ms"):
        row.trust_grace_ms = policy_rules.checked_grace(request.trust_grace_ms)


def _logged_fields(row: WorkspacePolicyRow) -> dict[str, Any]:
    chosen = wire.egress(row)
    return {"egress": EgressMode.Name(chosen.mode), "hosts": list(chosen.hosts), "trust_grace_ms": row.trust_grace_ms}
