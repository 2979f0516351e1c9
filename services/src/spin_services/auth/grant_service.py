"""GrantService: convert, call, convert."""

from typing import Any

from spin_services.auth import domain
from spin_services.auth.checked_uses import CheckedUses
from spin_services.auth.grants import Grants
from spin_services.auth.principals import Principal
from spin_services.rpc.identity import current_caller
from spinapis.auth.v1 import trust_pb2 as pb
from spinapis.auth.v1.trust_pb2_grpc import GrantServiceServicer


class GrantService(GrantServiceServicer):
    def __init__(self, grants: Grants, uses: CheckedUses) -> None:
        self._grants, self._uses = grants, uses

    async def IssueCapability(self, request: pb.IssueCapabilityRequest, context: Any) -> pb.IssueCapabilityResponse:
        _check_ids(request)
        capability, challenge = await self._grants.capability(current_caller(), request)
        return pb.IssueCapabilityResponse(capability=capability, challenge=challenge)

    async def ListSharedConnections(self, request: pb.ListSharedConnectionsRequest, context: Any) -> pb.ListSharedConnectionsResponse:
        caller = current_caller()
        return await self._uses.shared(request, Principal(caller.user_id, tuple(caller.actor_chain)))

    async def GrantRun(self, request: pb.GrantRunRequest, context: Any) -> pb.GrantRunResponse:
        _check_ids(request)
        return pb.GrantRunResponse(grant=await self._grants.run(current_caller(), request))


def _check_ids(request: pb.IssueCapabilityRequest | pb.GrantRunRequest) -> None:
    for field in ("session_id", "notebook_id", "runtime_id"):
        domain.check_id(field, getattr(request, field))
