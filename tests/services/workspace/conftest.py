"""The workspace service over real gRPC, on both database engines, with auth and audit answered from memory."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from spin_services.workspace.app import build
from spinapis.auth.v1 import trust_pb2, trust_pb2_grpc
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.workspace.v1 import notebooks_pb2_grpc, workspaces_pb2, workspaces_pb2_grpc
from tests.fakes.installation import Installation, Metadata
from tests.fakes.peer_services import FakeAccess, FakeKeys, FakeLog, add_access, add_keys, add_log

OWNER, EDITOR, AGENT, VIEWER = (
    MemberRole.MEMBER_ROLE_OWNER,
    MemberRole.MEMBER_ROLE_EDITOR,
    MemberRole.MEMBER_ROLE_AGENT,
    MemberRole.MEMBER_ROLE_VIEWER,
)


class FakeEnrolments(trust_pb2_grpc.EnrolmentServiceServicer):
    """Remembers what was revoked."""

    def __init__(self) -> None:
        self.revoked: list[str] = []

    async def RevokeRuntime(self, request: Any, context: Any) -> Any:
        self.revoked.append(request.runtime_id)
        return trust_pb2.RevokeRuntimeResponse()


class Place:
    """A running workspace service and a person in it."""

    def __init__(self, installation: Installation, access: FakeAccess, log: FakeLog, enrolments: FakeEnrolments, keys: FakeKeys) -> None:
        self.installation, self.access, self.log, self.enrolments, self.keys = installation, access, log, enrolments, keys
        channel: grpc.aio.Channel = installation.channel("workspace")
        self.workspaces = workspaces_pb2_grpc.WorkspaceServiceStub(channel)
        self.runtimes = workspaces_pb2_grpc.RuntimeServiceStub(channel)
        self.notebooks = notebooks_pb2_grpc.NotebookServiceStub(channel)
        self.sessions = notebooks_pb2_grpc.SessionServiceStub(channel)

    def user(self, name: str = "ann") -> Metadata:
        return self.installation.as_user(name)

    async def workspace(self, name: str = "Incidents", parent_id: str = "", user: str = "ann") -> workspaces_pb2.Workspace:
        request = workspaces_pb2.CreateWorkspaceRequest(name=name, parent_id=parent_id)
        answer = await self.workspaces.CreateWorkspace(request, metadata=self.user(user))
        return answer.workspace

    def let(self, user: str, workspace_id: str, role: MemberRole.ValueType) -> None:
        self.access.roles[user, workspace_id] = role


@pytest.fixture
async def place(tmp_path: Path, database_url: str) -> AsyncIterator[Place]:
    installation = Installation(tmp_path / "installation", database_url)
    access, log, enrolments, keys = FakeAccess(), FakeLog(), FakeEnrolments(), FakeKeys()
    await installation.start_fake("auth", add_access(access), (trust_pb2_grpc.add_EnrolmentServiceServicer_to_server, enrolments))
    await installation.start_fake("audit", add_log(log))
    await installation.start_fake("secrets", add_keys(keys))
    wiring = installation.wiring("workspace")
    await installation.start(await build(wiring), wiring)
    yield Place(installation, access, log, enrolments, keys)
    await installation.close()
