"""RuntimeService."""

from collections.abc import Callable
from typing import Any

from spin_services.database import pages
from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.rpc.identity import current_caller
from spin_services.rpc.peers import Peers
from spin_services.workspace import wire
from spin_services.workspace.changes import CREATED, DELETED, UPDATED, Changes
from spin_services.workspace.domain import Runtime, RuntimeChange, etag, new_id
from spin_services.workspace.runtime_store import RuntimeStore
from spinapis.auth.v1.trust_pb2 import RevokeRuntimeRequest
from spinapis.auth.v1.trust_pb2_grpc import EnrolmentServiceStub
from spinapis.workspace.v1 import workspaces_pb2 as pb
from spinapis.workspace.v1.workspaces_pb2_grpc import RuntimeServiceServicer


class RuntimeServicer(RuntimeServiceServicer):
    def __init__(self, store: RuntimeStore, peers: Peers, changes: Changes, clock: Callable[[], int]) -> None:
        self._store = store
        self._enrolments = peers.stub(EnrolmentServiceStub)
        self._changes = changes
        self._clock = clock

    async def CreateRuntime(self, request: pb.CreateRuntimeRequest, context: Any) -> pb.CreateRuntimeResponse:
        workspace_id, now = request.workspace_id, self._clock()
        scope = f"{workspace_id}/{current_caller().user_id}"
        wanted = Runtime(
            id=new_id("runtime", scope, wire.key_in(request.idempotency_key)),
            workspace_id=workspace_id,
            name=wire.name_in("name", request.name),
            url=wire.url_in(request.url),
            labels=wire.labels_in(request.labels),
            is_default=request.is_default,
            created_at_ms=now,
            updated_at_ms=now,
        )
        logged = self._changes.logged(workspace_id, "runtime", "created", wanted.id, name=wanted.name, url=wanted.url)
        made, is_new = await self._store.create(wanted, logged)
        if is_new:
            await self._changes.tell(workspace_id, CREATED, "runtime", made.id, etag(made.revision))
        return pb.CreateRuntimeResponse(runtime=wire.runtime_out(made, workspace_id))

    async def GetRuntime(self, request: pb.GetRuntimeRequest, context: Any) -> pb.GetRuntimeResponse:
        found = await self._store.get(request.workspace_id, request.runtime_id)
        return pb.GetRuntimeResponse(runtime=wire.runtime_out(found, request.workspace_id))

    async def ListRuntimes(self, request: pb.ListRuntimesRequest, context: Any) -> pb.ListRuntimesResponse:
        workspace_id, size = request.workspace_id, pages.clamp(request.page_size)
        listing = f"runtimes:{workspace_id}"
        position = pages.decode(listing, request.page_token, int, str, str)
        ancestors, runtimes = await self._store.visible(workspace_id)
        keys = [(ancestors.index(runtime.workspace_id), runtime.name, runtime.id) for runtime in runtimes]
        last = (int(position[0]), str(position[1]), str(position[2])) if position else (-1, "", "")
        start = sum(key <= last for key in keys)
        shown = runtimes[start : start + size]
        token = pages.encode(listing, *keys[start + size - 1]) if start + size < len(runtimes) else ""
        return pb.ListRuntimesResponse(runtimes=[wire.runtime_out(runtime, workspace_id) for runtime in shown], next_page_token=token)

    async def UpdateRuntime(self, request: pb.UpdateRuntimeRequest, context: Any) -> pb.UpdateRuntimeResponse:
        workspace_id, runtime_id = request.workspace_id, request.runtime_id
        change = RuntimeChange(
            name=wire.name_in("name", request.name) if request.HasField("name") else None,
            url=wire.url_in(request.url) if request.HasField("url") else None,
            labels=wire.labels_in(request.labels) if request.replace_labels else None,
            is_default=request.is_default if request.HasField("is_default") else None,
        )
        body = {name: value for name, value in vars(change).items() if value is not None}
        logged = self._changes.logged(workspace_id, "runtime", "updated", runtime_id, request.etag, **body)
        changed = await self._store.update(workspace_id, runtime_id, request.etag, change, self._clock(), logged)
        await self._changes.tell(workspace_id, UPDATED, "runtime", runtime_id, etag(changed.revision))
        return pb.UpdateRuntimeResponse(runtime=wire.runtime_out(changed, workspace_id))

    async def DeleteRuntime(self, request: pb.DeleteRuntimeRequest, context: Any) -> pb.DeleteRuntimeResponse:
        workspace_id, runtime_id = request.workspace_id, request.runtime_id
        logged = self._changes.logged(workspace_id, "runtime", "deleted", runtime_id)

        async def revoke_then_log() -> None:
            await self._revoke(workspace_id, runtime_id)
            await logged()

        await self._store.delete(workspace_id, runtime_id, request.etag, self._clock(), revoke_then_log)
        await self._changes.tell(workspace_id, DELETED, "runtime", runtime_id)
        return pb.DeleteRuntimeResponse()

    async def _revoke(self, workspace_id: str, runtime_id: str) -> None:
        """A registration that goes takes its trust with it; one that was never paired has none."""
        try:
            await self._enrolments.RevokeRuntime(RevokeRuntimeRequest(workspace_id=workspace_id, runtime_id=runtime_id))
        except ServiceError as error:
            if error.reason != ErrorReason.ERROR_REASON_NOT_FOUND:
                raise
