"""Roles for services other than auth.

Rules: auth is asked with the caller's own token; a role is believed for 5 seconds, so that a lost role or a revoked sign-in counts
within that time; the absence of a role is not kept, so that a new one counts at once.
"""

from collections.abc import Callable

from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.rpc.identity import Caller, set_caller
from spin_services.rpc.peers import Peers
from spin_services.rpc.policy import RoleValue
from spinapis.auth.v1.members_pb2 import GetAccessRequest, MemberRole
from spinapis.auth.v1.members_pb2_grpc import AccessServiceStub

KEPT_MS = 5_000
CACHE_SIZE = 20_000


class RemoteAccess:
    """AccessLookup over AccessService."""

    def __init__(self, peers: Peers, clock: Callable[[], int]) -> None:
        self._access = peers.stub(AccessServiceStub)
        self._clock = clock
        self._roles: dict[tuple[str, str], tuple[int, RoleValue]] = {}

    async def role(self, caller: Caller, workspace_id: str) -> RoleValue | None:
        key, now = (caller.access_token, workspace_id), self._clock()
        known = self._roles.get(key)
        if known and known[0] > now:
            return known[1]
        # The stub sends the token of the current caller, which the server sets only after this.
        set_caller(caller)
        try:
            answer = await self._access.GetAccess(GetAccessRequest(workspace_id=workspace_id))
        except ServiceError as error:
            if error.reason == ErrorReason.ERROR_REASON_NOT_FOUND:
                return None
            raise
        if len(self._roles) >= CACHE_SIZE:
            self._roles.clear()
        if answer.role != MemberRole.MEMBER_ROLE_UNSPECIFIED:
            self._roles[key] = (now + KEPT_MS, answer.role)
        return answer.role
