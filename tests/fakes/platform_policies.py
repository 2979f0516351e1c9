"""Workspaces' policies, in memory, for clients' tests."""

from typing import Any

import grpc

from spin_envelope import egress
from spinapis.auth.v1 import policy_pb2, policy_pb2_grpc
from spinapis.envelope.v1.attach_pb2 import EgressPolicy
from tests.fakes.platform_servicers import Context
from tests.fakes.rpc import refuse


class Policies(policy_pb2_grpc.PolicyServiceServicer):
    def __init__(self) -> None:
        self.kept: dict[str, policy_pb2.WorkspacePolicy] = {}

    async def GetWorkspacePolicy(self, request: Any, context: Context) -> Any:
        return policy_pb2.GetWorkspacePolicyResponse(policy=self._of(request.workspace_id))

    async def UpdateWorkspacePolicy(self, request: Any, context: Context) -> Any:
        policy = self._of(request.workspace_id)
        if request.etag not in ("", policy.etag):
            await refuse(context, grpc.StatusCode.ABORTED, "ETAG_MISMATCH", "Someone changed this since you read it.")
        for index, host in enumerate(request.egress.hosts):
            try:
                egress.pattern(host)
            except egress.HostInvalid as error:
                await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", f"{host!r}: {error}.", field=f"egress.hosts[{index}]")
        if request.HasField("egress"):
            policy.egress.CopyFrom(request.egress)
            chosen = [request.egress] if request.egress.mode else []
            policy.effective_egress.CopyFrom(egress.narrowed(chosen))
        if request.HasField("trust_grace_ms"):
            policy.trust_grace_ms = request.trust_grace_ms
        policy.etag = str(int(policy.etag) + 1)
        return policy_pb2.UpdateWorkspacePolicyResponse(policy=policy)

    def _of(self, workspace_id: str) -> policy_pb2.WorkspacePolicy:
        new = policy_pb2.WorkspacePolicy(workspace_id=workspace_id, effective_egress=EgressPolicy(mode=egress.OPEN), etag="0")
        return self.kept.setdefault(workspace_id, new)
