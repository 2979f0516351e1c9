"""When connections were last used, as audit tells.

Rules: one question for a page; without an answer a page says nothing of it and is whole otherwise.
"""

from collections.abc import Sequence

import structlog

from spin_services.rpc.errors import ServiceError
from spin_services.rpc.peers import Peers
from spinapis.audit.v1.audit_pb2 import GetLastUsesRequest
from spinapis.audit.v1.audit_pb2_grpc import HistoryServiceStub
from spinapis.secrets.v1 import secrets_pb2 as pb

PATIENCE_S = 1.0

log = structlog.get_logger("spin.secrets")


class LastUses:
    def __init__(self, peers: Peers) -> None:
        self._history = peers.stub(HistoryServiceStub)

    async def fill_in(self, workspace_id: str, connections: Sequence[pb.Connection]) -> None:
        """Into those that are the workspace's own."""
        own = {one.id: one for one in connections if one.workspace_id == workspace_id}
        if not own:
            return
        try:
            request = GetLastUsesRequest(workspace_id=workspace_id, connection_ids=list(own))
            answer = await self._history.GetLastUses(request, timeout=PATIENCE_S)
        except ServiceError as failure:
            log.warning("last_uses_unknown", workspace_id=workspace_id, failure=str(failure))
            return
        told = {use.connection_id: use.used_at_ms for use in answer.last_uses}
        for connection_id, connection in own.items():
            connection.last_used_at_ms = told.get(connection_id, 0)
