"""Writing to the workspace's log.

Rules: what must be logged is logged before it is committed or leaves the service; when the log does not answer, the action fails (closed).
"""

from spin_services.rpc.errors import unavailable
from spin_services.rpc.peers import Peers
from spinapis.audit.v1.audit_pb2 import AppendEntriesRequest, NewEntry
from spinapis.audit.v1.audit_pb2_grpc import LogServiceStub


class AuditLog:
    def __init__(self, peers: Peers) -> None:
        self._log = peers.stub(LogServiceStub)

    async def append(self, workspace_id: str, *entries: NewEntry) -> list[int]:
        """The entries' indexes, once they are durable. Raises ServiceError when they are not."""
        answer = await self._log.AppendEntries(AppendEntriesRequest(workspace_id=workspace_id, entries=entries))
        if len(answer.indexes) != len(entries):
            raise unavailable("audit")
        return list(answer.indexes)
