"""Services that answer their peers from memory: roles, the log, workspaces and sessions."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from spin_services.rpc.errors import abort, not_found, unavailable
from spinapis.audit.v1 import audit_pb2, audit_pb2_grpc
from spinapis.auth.v1 import members_pb2, members_pb2_grpc
from spinapis.secrets.v1 import keys_pb2, keys_pb2_grpc, secrets_pb2, secrets_pb2_grpc
from spinapis.workspace.v1 import notebooks_pb2, notebooks_pb2_grpc, workspaces_pb2, workspaces_pb2_grpc


def user_of(context: Any) -> str:
    """The user that the carried access token names."""
    metadata = dict(context.invocation_metadata())
    token = metadata["authorization"].removeprefix("Bearer ")
    return str(jwt.decode(token, options={"verify_signature": False})["sub"])


class FakeAccess(members_pb2_grpc.AccessServiceServicer):
    """Roles by (user, workspace)."""

    def __init__(self) -> None:
        self.roles: dict[tuple[str, str], members_pb2.MemberRole.ValueType] = {}
        self.asked = 0

    async def GetAccess(self, request: Any, context: Any) -> Any:
        self.asked += 1
        role = self.roles.get((user_of(context), request.workspace_id))
        if role is None:
            await abort(context, not_found("workspace", request.workspace_id))
        return members_pb2.GetAccessResponse(role=role)

    async def ListAccess(self, request: Any, context: Any) -> Any:
        user = user_of(context)
        found = [members_pb2.Access(workspace_id=place, role=role) for (who, place), role in self.roles.items() if who == user]
        return members_pb2.ListAccessResponse(access=found)

    async def FoundWorkspace(self, request: Any, context: Any) -> Any:
        self.roles[user_of(context), request.workspace_id] = members_pb2.MEMBER_ROLE_OWNER
        return members_pb2.FoundWorkspaceResponse()


class FakeLog(audit_pb2_grpc.LogServiceServicer):
    """Keeps entries by workspace; `broken` makes it fail, `refuses` names workspaces for which it does."""

    def __init__(self) -> None:
        self.entries: dict[str, list[audit_pb2.NewEntry]] = {}
        self.notes: dict[str, str] = {}
        # Runtimes whose log's checkpoint was asked for; empty for the workspace's own.
        self.checkpoints_asked: list[str] = []
        self.broken = False
        self.refuses: set[str] = set()

    async def AppendEntries(self, request: Any, context: Any) -> Any:
        if self.broken or request.workspace_id in self.refuses:
            await abort(context, unavailable("audit"))
        entries = self.entries.setdefault(request.workspace_id, [])
        start = len(entries)
        entries.extend(request.entries)
        return audit_pb2.AppendEntriesResponse(indexes=range(start, len(entries)))

    async def GetCheckpoint(self, request: Any, context: Any) -> Any:
        self.checkpoints_asked.append(request.runtime_id)
        if request.workspace_id not in self.notes:
            await abort(context, not_found("checkpoint", request.workspace_id))
        return audit_pb2.GetCheckpointResponse(note=self.notes[request.workspace_id])

    def types(self, workspace_id: str) -> list[str]:
        return [entry.type for entry in self.entries.get(workspace_id, [])]


class FakeHistory(audit_pb2_grpc.HistoryServiceServicer):
    """Knows when connections were last used, and counts who asks; `broken` makes it fail."""

    def __init__(self) -> None:
        self.used: dict[tuple[str, str], int] = {}
        self.asked = 0
        self.broken = False

    async def GetLastUses(self, request: Any, context: Any) -> Any:
        self.asked += 1
        if self.broken:
            await abort(context, unavailable("audit"))
        found = [(name, self.used.get((request.workspace_id, name), 0)) for name in request.connection_ids]
        return audit_pb2.GetLastUsesResponse(last_uses=[audit_pb2.LastUse(connection_id=name, used_at_ms=at) for name, at in found if at])


class FakeKeys(keys_pb2_grpc.KeyServiceServicer):
    """Remembers which workspaces were erased; `broken` makes it fail."""

    def __init__(self) -> None:
        self.erased: list[str] = []
        self.broken = False

    async def EraseWorkspace(self, request: Any, context: Any) -> Any:
        if self.broken:
            await abort(context, unavailable("secrets"))
        self.erased.append(request.workspace_id)
        return keys_pb2.EraseWorkspaceResponse()


@dataclass
class FakeConnection:
    """`only` names who may use it; None for everyone. `roles` does the same by their roles in its workspace."""

    workspace_id: str
    name: str = "tickets"
    version: int = 1
    approval_operations: Sequence[str] = ()
    only: Container[str] | None = None


class FakeSecrets(secrets_pb2_grpc.ConnectionServiceServicer):
    """The least bundle version by (home, runtime), and connections by their id; `broken` makes it fail."""

    def __init__(self) -> None:
        self.least: dict[tuple[str, str], int] = {}
        self.connections: dict[str, FakeConnection] = {}
        # Each CheckUses that came.
        self.asked: list[Any] = []
        self.broken = False

    async def GetLeastBundleVersion(self, request: Any, context: Any) -> Any:
        if self.broken:
            await abort(context, unavailable("secrets"))
        return secrets_pb2.GetLeastBundleVersionResponse(bundle_version=self.least.get((request.workspace_id, request.runtime_id), 0))

    async def ListConnections(self, request: Any, context: Any) -> Any:
        found = [secrets_pb2.Connection(id=one, name=connection.name, kind="rest") for one, connection in self.connections.items()]
        return secrets_pb2.ListConnectionsResponse(connections=found)

    async def CheckUses(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        if self.broken:
            await abort(context, unavailable("secrets"))
        named = {one: self.connections[one] for one in request.connection_ids if one in self.connections}
        return secrets_pb2.CheckUsesResponse(
            connections=[
                secrets_pb2.CheckedConnection(
                    id=connection_id,
                    workspace_id=connection.workspace_id,
                    name=connection.name,
                    version=connection.version,
                    approval_operations=connection.approval_operations,
                    refused=[at for at, one in enumerate(request.persons) if connection.only is not None and one.user_id not in connection.only],
                )
                for connection_id, connection in named.items()
                if connection.workspace_id in request.line
            ]
        )


class FakeWorkspaces(
    workspaces_pb2_grpc.WorkspaceServiceServicer, workspaces_pb2_grpc.RuntimeServiceServicer, notebooks_pb2_grpc.SessionServiceServicer
):
    """Parents of workspaces, records of runtimes, and sessions."""

    def __init__(self) -> None:
        self.parents: dict[str, str] = {}
        # Whose record a runtime is; any other one is the asking workspace's.
        self.runtimes: dict[str, str] = {}
        # Deleted ones.
        self.gone: set[str] = set()
        self.sessions: dict[str, notebooks_pb2.Session] = {}

    async def ListAncestors(self, request: Any, context: Any) -> Any:
        if request.workspace_id in self.gone:
            await abort(context, not_found("workspace", request.workspace_id))
        line, place = [request.workspace_id], self.parents.get(request.workspace_id)
        while place:
            line.append(place)
            place = self.parents.get(place)
        return workspaces_pb2.ListAncestorsResponse(workspace_ids=line)

    async def GetRuntime(self, request: Any, context: Any) -> Any:
        workspace_id = self.runtimes.get(request.runtime_id, request.workspace_id)
        return workspaces_pb2.GetRuntimeResponse(runtime=workspaces_pb2.Runtime(id=request.runtime_id, workspace_id=workspace_id))

    async def GetSession(self, request: Any, context: Any) -> Any:
        session = self.sessions.get(request.session_id)
        if session is None or session.workspace_id != request.workspace_id:
            await abort(context, not_found("session", request.session_id))
        return notebooks_pb2.GetSessionResponse(session=session)


def add_access(access: FakeAccess) -> tuple[Any, FakeAccess]:
    return members_pb2_grpc.add_AccessServiceServicer_to_server, access


def add_log(log: FakeLog) -> tuple[Any, FakeLog]:
    return audit_pb2_grpc.add_LogServiceServicer_to_server, log


def add_history(history: FakeHistory) -> tuple[Any, FakeHistory]:
    return audit_pb2_grpc.add_HistoryServiceServicer_to_server, history


def add_keys(keys: FakeKeys) -> tuple[Any, FakeKeys]:
    return keys_pb2_grpc.add_KeyServiceServicer_to_server, keys


def add_secrets(secrets: FakeSecrets) -> tuple[Any, FakeSecrets]:
    return secrets_pb2_grpc.add_ConnectionServiceServicer_to_server, secrets


def add_workspaces(workspaces: FakeWorkspaces) -> list[tuple[Any, FakeWorkspaces]]:
    return [
        (workspaces_pb2_grpc.add_WorkspaceServiceServicer_to_server, workspaces),
        (workspaces_pb2_grpc.add_RuntimeServiceServicer_to_server, workspaces),
        (notebooks_pb2_grpc.add_SessionServiceServicer_to_server, workspaces),
    ]
