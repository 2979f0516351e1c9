"""Asking for an approval: the cell is compiled as for a run, so that just what would run is what is approved."""

from collections.abc import Mapping

from spin_cells.api import CellType
from spin_services.compiler import wire
from spin_services.compiler.compilation import Connections, compiled_code, executable, is_guarded, labels_of
from spin_services.compiler.reading import reading
from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.rpc.identity import Caller
from spin_services.rpc.peers import Peers
from spinapis.auth.v1 import approvals_pb2
from spinapis.auth.v1.approvals_pb2_grpc import ApprovalServiceStub
from spinapis.compiler.v1.compiler_pb2 import RequestApprovalRequest


class ApprovalRequests:
    def __init__(self, types: Mapping[str, CellType], connections: Connections, peers: Peers) -> None:
        self._types, self._connections = types, connections
        self._approvals = peers.stub(ApprovalServiceStub)

    async def request(self, request: RequestApprovalRequest, caller: Caller) -> approvals_pb2.Approval:
        """Raises CELL_INVALID for a cell that needs no approval."""
        wire.check_ids(request)
        cell = wire.cell_of(request.cell)
        cell_type, language = executable(self._types, cell), wire.language_of(request.kernel_language)
        resolved = await self._connections.resolve(request.workspace_id, cell_type, cell, language, labels_of(request, caller))
        uses = (await reading(cell, compiled_code, cell_type, cell, resolved)).uses
        if not is_guarded(uses, resolved.context):
            raise ServiceError(ErrorReason.ERROR_REASON_CELL_INVALID, "This cell uses no guarded operation: it runs without an approval.")
        asked = approvals_pb2.RequestApprovalRequest(
            workspace_id=request.workspace_id,
            notebook_id=request.notebook_id,
            cell_id=request.cell_id,
            cell_type=request.cell.cell_type,
            source=request.cell.source,
            fields_json=request.cell.fields_json,
            uses=uses,
            note=request.note,
        )
        return (await self._approvals.RequestApproval(asked)).approval
