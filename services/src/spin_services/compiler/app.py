"""Builds the compiler."""

from importlib.metadata import version

from spin_cells.registry import installed
from spin_services.compiler.approval import ApprovalRequests
from spin_services.compiler.compilation import Compilation, Connections
from spin_services.compiler.service import CompilerServicer
from spin_services.rpc.server import App
from spin_services.rpc.wiring import Wiring
from spinapis.compiler.v1 import compiler_pb2
from spinapis.compiler.v1.compiler_pb2_grpc import add_CompilerServiceServicer_to_server

NAME = "compiler"


async def build(wiring: Wiring) -> App:
    types = installed()
    compilation = Compilation(wiring, types, version("spin-services"))
    connections = Connections(wiring.peers)
    servicer = CompilerServicer(types, connections, compilation, ApprovalRequests(types, connections, wiring.peers))
    full_name = compiler_pb2.DESCRIPTOR.services_by_name["CompilerService"].full_name
    return App(NAME, [(add_CompilerServiceServicer_to_server, servicer, full_name)])
