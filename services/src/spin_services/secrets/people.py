"""The caller, as the grants of connections see it: with the role in each connection's own workspace."""

from typing import Any

from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.rpc.identity import current_caller
from spin_services.secrets.domain import Connection
from spin_services.secrets.grant_wire import role_name
from spin_services.secrets.grants import Person, may_use
from spinapis.auth.v1.members_pb2 import GetAccessRequest


class People:
    """Of one call. Auth is asked only for a connection that has grants and comes from another workspace."""

    def __init__(self, access: Any, workspace_id: str) -> None:
        self._access = access
        self._roles = {workspace_id: role_name(current_caller().role)}

    async def may_use(self, connection: Connection) -> bool:
        if not connection.grants:
            return True
        return may_use(connection.grants, Person(current_caller().user_id, await self._role(connection.workspace_id)))

    async def _role(self, workspace_id: str) -> str:
        if workspace_id not in self._roles:
            try:
                answer = await self._access.GetAccess(GetAccessRequest(workspace_id=workspace_id))
                self._roles[workspace_id] = role_name(answer.role)
            except ServiceError as error:
                if error.reason != ErrorReason.ERROR_REASON_NOT_FOUND:
                    raise
                self._roles[workspace_id] = ""
        return self._roles[workspace_id]
