"""The compiler's gRPC service."""

from collections.abc import Mapping
from typing import Any

from spin_cells.api import CellType, Context
from spin_services.compiler import wire
from spin_services.compiler.approval import ApprovalRequests
from spin_services.compiler.compilation import Compilation, Connections, known
from spin_services.compiler.reading import reading
from spin_services.database import pages
from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.rpc.identity import current_caller
from spinapis.compiler.v1 import compiler_pb2 as pb
from spinapis.compiler.v1.compiler_pb2_grpc import CompilerServiceServicer

# What a viewer gets who may read the notebook and not use its connections: the cell type says so in its problems.
_NOT_RESOLVED = (ErrorReason.ERROR_REASON_CONNECTION_UNUSABLE, ErrorReason.ERROR_REASON_PERMISSION_DENIED)


class CompilerServicer(CompilerServiceServicer):
    def __init__(self, types: Mapping[str, CellType], connections: Connections, compilation: Compilation, approvals: ApprovalRequests) -> None:
        self._types = types
        self._connections = connections
        self._compilation = compilation
        self._approvals = approvals
        self._described = [wire.cell_type_to(cell_type) for cell_type in types.values()]

    async def ListCellTypes(self, request: pb.ListCellTypesRequest, context: Any) -> pb.ListCellTypesResponse:
        size, position = pages.clamp(request.page_size), pages.decode("cell-types", request.page_token, int)
        start = int(position[0]) if position else 0
        end = start + size
        token = pages.encode("cell-types", end) if end < len(self._described) else ""
        return pb.ListCellTypesResponse(cell_types=self._described[start:end], next_page_token=token)

    async def ValidateCell(self, request: pb.ValidateCellRequest, context: Any) -> pb.ValidateCellResponse:
        cell, language = wire.cell_of(request.cell), wire.language_of(request.kernel_language)
        cell_type = known(self._types, cell.cell_type)
        try:
            surroundings = (await self._connections.resolve(request.workspace_id, cell_type, cell, language, {})).context
        except ServiceError as error:
            if error.reason not in _NOT_RESOLVED:
                raise
            surroundings = Context(language)
        problems = await reading(cell, cell_type.validate, cell, surroundings)
        return pb.ValidateCellResponse(problems=[wire.problem_to(problem) for problem in problems])

    async def CompileCell(self, request: pb.CompileCellRequest, context: Any) -> pb.CompileCellResponse:
        return await self._compilation.compile(request, current_caller())

    async def RequestApproval(self, request: pb.RequestApprovalRequest, context: Any) -> pb.RequestApprovalResponse:
        return pb.RequestApprovalResponse(approval=await self._approvals.request(request, current_caller()))
