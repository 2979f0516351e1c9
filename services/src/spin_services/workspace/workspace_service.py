"""WorkspaceService."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from spin_services.database import pages
from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.rpc.identity import current_caller
from spin_services.rpc.peers import Peers
from spin_services.rpc.policy import permissions_of
from spin_services.workspace import wire
from spin_services.workspace.changes import CREATED, DELETED, UPDATED, Changes
from spin_services.workspace.domain import Workspace, etag, new_id
from spin_services.workspace.erasures import Erasures
from spin_services.workspace.workspace_store import WorkspaceStore
from spinapis.auth.v1.members_pb2 import FoundWorkspaceRequest, GetAccessRequest, ListAccessRequest, MemberRole
from spinapis.auth.v1.members_pb2_grpc import AccessServiceStub
from spinapis.workspace.v1 import workspaces_pb2 as pb
from spinapis.workspace.v1.workspaces_pb2_grpc import WorkspaceServiceServicer

MANAGE = "workspace.manage"


class WorkspaceServicer(WorkspaceServiceServicer):
    def __init__(self, store: WorkspaceStore, erasures: Erasures, peers: Peers, changes: Changes, clock: Callable[[], int]) -> None:
        self._store = store
        self._access = peers.stub(AccessServiceStub)
        self._erasures = erasures
        self._changes = changes
        self._clock = clock

    async def CreateWorkspace(self, request: pb.CreateWorkspaceRequest, context: Any) -> pb.CreateWorkspaceResponse:
        name, parent = wire.name_in("name", request.name), request.parent_id and wire.id_in("parent_id", request.parent_id)
        if parent:
            await self._check_parent(parent)
        now = self._clock()
        identifier = new_id("workspace", current_caller().user_id, wire.key_in(request.idempotency_key))
        wanted = Workspace(identifier, name, parent, 1, now, now)
        logged = self._changes.logged(identifier, "workspace", "created", identifier, name=name, parent_id=parent)

        async def found_then_log() -> None:
            await self._access.FoundWorkspace(FoundWorkspaceRequest(workspace_id=identifier))
            await logged()

        made, is_new = await self._store.create(wanted, found_then_log)
        if is_new and parent:
            await self._changes.tell(parent, CREATED, "workspace", identifier, etag(made.revision))
        return pb.CreateWorkspaceResponse(workspace=wire.workspace_out(made))

    async def _check_parent(self, parent_id: str) -> None:
        """A child inherits connections and runtimes, so whoever makes one manages the parent."""
        role = (await self._access.GetAccess(GetAccessRequest(workspace_id=parent_id))).role
        if MANAGE not in permissions_of(current_caller(), role):
            raise ServiceError(ErrorReason.ERROR_REASON_PERMISSION_DENIED, permission=MANAGE, role=MemberRole.Name(role))

    async def GetWorkspace(self, request: pb.GetWorkspaceRequest, context: Any) -> pb.GetWorkspaceResponse:
        return pb.GetWorkspaceResponse(workspace=wire.workspace_out(await self._store.get(request.workspace_id)))

    async def ListWorkspaces(self, request: pb.ListWorkspacesRequest, context: Any) -> pb.ListWorkspacesResponse:
        """Pages are auth's, which knows the memberships; a membership whose workspace is gone leaves its page shorter."""
        page = ListAccessRequest(page_size=pages.clamp(request.page_size), page_token=request.page_token)
        access = await self._access.ListAccess(page)
        workspaces = await self._store.many([entry.workspace_id for entry in access.access])
        return pb.ListWorkspacesResponse(workspaces=[wire.workspace_out(found) for found in workspaces], next_page_token=access.next_page_token)

    async def UpdateWorkspace(self, request: pb.UpdateWorkspaceRequest, context: Any) -> pb.UpdateWorkspaceResponse:
        identifier, name = request.workspace_id, wire.name_in("name", request.name)
        logged = self._changes.logged(identifier, "workspace", "renamed", identifier, request.etag, name=name)
        changed = await self._store.rename(identifier, request.etag, name, self._clock(), logged)
        await self._changes.tell(identifier, UPDATED, "workspace", identifier, etag(changed.revision))
        return pb.UpdateWorkspaceResponse(workspace=wire.workspace_out(changed))

    async def DeleteWorkspace(self, request: pb.DeleteWorkspaceRequest, context: Any) -> pb.DeleteWorkspaceResponse:
        identifier = request.workspace_id
        logged = self._changes.logged(identifier, "workspace", "deleted", identifier)
        await self._store.delete(identifier, request.etag, self._clock(), logged)
        await self._erasures.erase(identifier)
        await self._changes.tell(identifier, DELETED, "workspace", identifier)
        return pb.DeleteWorkspaceResponse()

    async def ListAncestors(self, request: pb.ListAncestorsRequest, context: Any) -> pb.ListAncestorsResponse:
        """The line is short enough for one page of any size."""
        return pb.ListAncestorsResponse(workspace_ids=await self._store.ancestors(wire.id_in("workspace_id", request.workspace_id)))

    async def WatchWorkspace(self, request: pb.WatchWorkspaceRequest, context: Any) -> AsyncIterator[pb.WatchWorkspaceResponse]:
        async for event in self._changes.watch(request.workspace_id):
            yield event
