"""SessionService."""

from collections.abc import Callable
from typing import Any

from spin_services.database import pages
from spin_services.rpc.errors import invalid
from spin_services.rpc.identity import current_caller
from spin_services.workspace import wire
from spin_services.workspace.changes import CREATED, UPDATED, Changes
from spin_services.workspace.domain import Session, default_runtime, new_id
from spin_services.workspace.notebook_store import NotebookStore
from spin_services.workspace.runtime_store import RuntimeStore
from spin_services.workspace.session_store import SessionStore
from spinapis.workspace.v1 import notebooks_pb2 as pb
from spinapis.workspace.v1.notebooks_pb2_grpc import SessionServiceServicer


class SessionServicer(SessionServiceServicer):
    def __init__(self, store: SessionStore, notebooks: NotebookStore, runtimes: RuntimeStore, changes: Changes, clock: Callable[[], int]) -> None:
        self._store = store
        self._notebooks = notebooks
        self._runtimes = runtimes
        self._changes = changes
        self._clock = clock

    async def OpenSession(self, request: pb.OpenSessionRequest, context: Any) -> pb.OpenSessionResponse:
        workspace_id = request.workspace_id
        notebook = await self._notebooks.get(workspace_id, request.notebook_id)
        wanted = Session(
            id=new_id("session", "", ""),
            workspace_id=workspace_id,
            notebook_id=notebook.id,
            runtime_id=await self._runtime_id(workspace_id, request.runtime_id),
            kernel_name=wire.kernel_in(request.kernel_name) or wire.kernel_of(notebook.content),
            opened_by=current_caller().user_id,
            opened_at_ms=self._clock(),
        )
        ids = {"notebook_id": wanted.notebook_id, "runtime_id": wanted.runtime_id, "kernel_name": wanted.kernel_name}
        opened, is_new = await self._store.open(wanted, self._changes.logged(workspace_id, "session", "opened", wanted.id, **ids))
        if is_new:
            await self._changes.tell(workspace_id, CREATED, "session", opened.id)
        return pb.OpenSessionResponse(session=wire.session_out(opened))

    async def _runtime_id(self, workspace_id: str, wanted: str) -> str:
        if wanted:
            return (await self._runtimes.get(workspace_id, wanted)).id
        default = default_runtime(*await self._runtimes.visible(workspace_id))
        if default is None:
            raise invalid("runtime_id", "The workspace has no default runtime: add one, or choose one.")
        return default.id

    async def GetSession(self, request: pb.GetSessionRequest, context: Any) -> pb.GetSessionResponse:
        return pb.GetSessionResponse(session=wire.session_out(await self._store.get(request.workspace_id, request.session_id)))

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Any) -> pb.ListSessionsResponse:
        size = pages.clamp(request.page_size)
        listing = f"sessions:{request.workspace_id}:{request.notebook_id}:{request.open_only}"
        position = pages.decode(listing, request.page_token, int, str)
        after = (int(position[0]), str(position[1])) if position else None
        found = await self._store.page(request.workspace_id, request.notebook_id, request.open_only, size + 1, after)
        shown = found[:size]
        token = pages.encode(listing, shown[-1].opened_at_ms, shown[-1].id) if len(found) > size else ""
        return pb.ListSessionsResponse(sessions=[wire.session_out(session) for session in shown], next_page_token=token)

    async def EndSession(self, request: pb.EndSessionRequest, context: Any) -> pb.EndSessionResponse:
        logged = self._changes.logged(request.workspace_id, "session", "ended", request.session_id)
        ended, was_open = await self._store.end(request.workspace_id, request.session_id, self._clock(), logged)
        if was_open:
            await self._changes.tell(request.workspace_id, UPDATED, "session", ended.id)
        return pb.EndSessionResponse(session=wire.session_out(ended))
