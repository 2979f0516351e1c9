"""A service of its own for the tests of the plumbing: the compiler's and the secrets' methods, with answers that a test chooses."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from spin_services.rpc.identity import current_caller
from spin_services.rpc.neighbours import Neighbours
from spin_services.rpc.server import App, Server
from spinapis.audit.v1 import audit_pb2, audit_pb2_grpc
from spinapis.auth.v1.members_pb2 import MEMBER_ROLE_VIEWER
from spinapis.compiler.v1 import compiler_pb2, compiler_pb2_grpc
from tests.fakes.installation import Installation
from tests.fakes.peer_services import FakeAccess, add_access

WORKSPACE, USER = "a1" * 16, "b2" * 16


class Probe(compiler_pb2_grpc.CompilerServiceServicer, audit_pb2_grpc.LogServiceServicer):
    """Serves ListCellTypes (signed in), ValidateCell (notebook.read), CompileCell (run), AppendEntries (services), WatchEntries (a stream)."""

    def __init__(self) -> None:
        self.callers: list[Any] = []
        self.behaviour: Callable[[], Awaitable[None]] | None = None

    async def _seen(self) -> None:
        self.callers.append(current_caller())
        if self.behaviour is not None:
            await self.behaviour()

    async def ListCellTypes(self, request: Any, context: Any) -> Any:
        await self._seen()
        return compiler_pb2.ListCellTypesResponse()

    async def ValidateCell(self, request: Any, context: Any) -> Any:
        await self._seen()
        return compiler_pb2.ValidateCellResponse()

    async def CompileCell(self, request: Any, context: Any) -> Any:
        await self._seen()
        return compiler_pb2.CompileCellResponse()

    async def AppendEntries(self, request: Any, context: Any) -> Any:
        await self._seen()
        return audit_pb2.AppendEntriesResponse(indexes=range(len(request.entries)))

    async def WatchEntries(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._seen()
        yield audit_pb2.WatchEntriesResponse()
        await asyncio.Event().wait()


class Served:
    """The probe behind a real server, in the compiler's place."""

    def __init__(self, installation: Installation, probe: Probe, access: FakeAccess, server: Server) -> None:
        self.installation, self.probe, self.access, self.server = installation, probe, access, server
        channel = installation.channel("compiler")
        self.compiler = compiler_pb2_grpc.CompilerServiceStub(channel)
        self.log = audit_pb2_grpc.LogServiceStub(channel)

    async def list(self, metadata: Any, **options: Any) -> Any:
        return await self.compiler.ListCellTypes(compiler_pb2.ListCellTypesRequest(), metadata=metadata, **options)

    async def validate(self, metadata: Any, workspace_id: str = WORKSPACE) -> Any:
        return await self.compiler.ValidateCell(compiler_pb2.ValidateCellRequest(workspace_id=workspace_id), metadata=metadata)

    async def compile(self, metadata: Any) -> Any:
        return await self.compiler.CompileCell(compiler_pb2.CompileCellRequest(workspace_id=WORKSPACE), metadata=metadata)

    async def append(self, metadata: Any) -> Any:
        return await self.log.AppendEntries(audit_pb2.AppendEntriesRequest(workspace_id=WORKSPACE), metadata=metadata)

    def watch(self, metadata: Any) -> Any:
        return self.log.WatchEntries(audit_pb2.WatchEntriesRequest(workspace_id=WORKSPACE), metadata=metadata)


@pytest.fixture
def way(request: pytest.FixtureRequest) -> str:
    """How tests reach the probe: over its socket, or at the door for services of its process. What holds either way is tested both ways."""
    return str(getattr(request, "param", "socket"))


@pytest.fixture
async def served(installation: Installation, way: str) -> Served:
    """The user is a viewer of the workspace."""
    if way == "door":
        installation.neighbours = Neighbours(["compiler"])
    probe, access = Probe(), FakeAccess()
    access.roles[USER, WORKSPACE] = MEMBER_ROLE_VIEWER
    await installation.start_fake("auth", add_access(access))
    app = App(
        "compiler",
        [
            (compiler_pb2_grpc.add_CompilerServiceServicer_to_server, probe, "spinapis.compiler.v1.CompilerService"),
            (audit_pb2_grpc.add_LogServiceServicer_to_server, probe, "spinapis.audit.v1.LogService"),
        ],
    )
    server = await installation.start(app, installation.wiring("compiler"))
    return Served(installation, probe, access, server)
