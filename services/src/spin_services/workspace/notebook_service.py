"""NotebookService."""

import asyncio
from collections.abc import Callable
from typing import Any

from spin_services.database import pages
from spin_services.rpc.errors import invalid
from spin_services.rpc.identity import current_caller
from spin_services.workspace import ipynb, wire
from spin_services.workspace.changes import CREATED, DELETED, UPDATED, Changes
from spin_services.workspace.domain import Content, Notebook, etag, filename, new_id
from spin_services.workspace.notebook_format import NotAllowed
from spin_services.workspace.notebook_store import NotebookStore
from spinapis.workspace.v1 import notebooks_pb2 as pb
from spinapis.workspace.v1.notebooks_pb2_grpc import NotebookServiceServicer


class NotebookServicer(NotebookServiceServicer):
    def __init__(self, store: NotebookStore, changes: Changes, clock: Callable[[], int]) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock

    async def CreateNotebook(self, request: pb.CreateNotebookRequest, context: Any) -> pb.CreateNotebookResponse:
        content = wire.content_in(request.title, request.cells, request.metadata_json)
        made = await self._create(request.workspace_id, request.idempotency_key, content)
        return pb.CreateNotebookResponse(notebook=wire.notebook_out(made))

    async def _create(self, workspace_id: str, idempotency_key: str, content: Content) -> Notebook:
        user, now = current_caller().user_id, self._clock()
        identifier = new_id("notebook", f"{workspace_id}/{user}", wire.key_in(idempotency_key))
        wanted = Notebook(identifier, workspace_id, content, 1, 1, now, now, user)
        logged = self._changes.logged(workspace_id, "notebook", "created", identifier, title=content.title)
        made, is_new = await self._store.create(wanted, logged)
        if is_new:
            await self._tell(made, CREATED)
        return made

    async def _tell(self, notebook: Notebook, change: Any) -> None:
        await self._changes.tell(notebook.workspace_id, change, "notebook", notebook.id, etag(notebook.revision))

    async def GetNotebook(self, request: pb.GetNotebookRequest, context: Any) -> pb.GetNotebookResponse:
        found = await self._store.get(request.workspace_id, request.notebook_id)
        return pb.GetNotebookResponse(notebook=wire.notebook_out(found))

    async def ListNotebooks(self, request: pb.ListNotebooksRequest, context: Any) -> pb.ListNotebooksResponse:
        size, listing = pages.clamp(request.page_size), f"notebooks:{request.workspace_id}"
        position = pages.decode(listing, request.page_token, int, str)
        after = (int(position[0]), str(position[1])) if position else None
        found = await self._store.page(request.workspace_id, size + 1, after)
        shown = found[:size]
        token = pages.encode(listing, shown[-1].updated_at_ms, shown[-1].id) if len(found) > size else ""
        return pb.ListNotebooksResponse(notebooks=[wire.notebook_out(notebook) for notebook in shown], next_page_token=token)

    async def UpdateNotebook(self, request: pb.UpdateNotebookRequest, context: Any) -> pb.UpdateNotebookResponse:
        content = wire.content_in(request.title, request.cells, request.metadata_json)
        user, now = current_caller().user_id, self._clock()
        made = await self._store.update(request.workspace_id, request.notebook_id, request.etag, content, user, now)
        await self._tell(made, UPDATED)
        return pb.UpdateNotebookResponse(notebook=wire.notebook_out(made))

    async def DeleteNotebook(self, request: pb.DeleteNotebookRequest, context: Any) -> pb.DeleteNotebookResponse:
        workspace_id, notebook_id = request.workspace_id, request.notebook_id
        logged = self._changes.logged(workspace_id, "notebook", "deleted", notebook_id)
        await self._store.delete(workspace_id, notebook_id, request.etag, self._clock(), logged)
        await self._changes.tell(workspace_id, DELETED, "notebook", notebook_id)
        return pb.DeleteNotebookResponse()

    async def SaveCellOutputs(self, request: pb.SaveCellOutputsRequest, context: Any) -> pb.SaveCellOutputsResponse:
        outputs = wire.outputs_in("outputs_json", request.outputs_json)
        count = wire.count_in("execution_count", request.execution_count) if request.HasField("execution_count") else None
        await self._store.save_outputs(request.workspace_id, request.notebook_id, request.cell_id, outputs, count)
        # Without an etag: outputs change none, and a watcher that shows outputs reads them again.
        await self._changes.tell(request.workspace_id, UPDATED, "notebook", request.notebook_id)
        return pb.SaveCellOutputsResponse()

    async def ListNotebookVersions(self, request: pb.ListNotebookVersionsRequest, context: Any) -> pb.ListNotebookVersionsResponse:
        size, listing = pages.clamp(request.page_size), f"versions:{request.notebook_id}"
        position = pages.decode(listing, request.page_token, int)
        before = int(position[0]) if position else None
        found = await self._store.versions(request.workspace_id, request.notebook_id, size + 1, before)
        shown = found[:size]
        token = pages.encode(listing, shown[-1].version) if len(found) > size else ""
        return pb.ListNotebookVersionsResponse(versions=[wire.version_out(version) for version in shown], next_page_token=token)

    async def GetNotebookVersion(self, request: pb.GetNotebookVersionRequest, context: Any) -> pb.GetNotebookVersionResponse:
        found = await self._store.version(request.workspace_id, request.notebook_id, request.version)
        return pb.GetNotebookVersionResponse(notebook=wire.notebook_out(found))

    async def RestoreNotebookVersion(self, request: pb.RestoreNotebookVersionRequest, context: Any) -> pb.RestoreNotebookVersionResponse:
        user, now = current_caller().user_id, self._clock()
        made = await self._store.restore(request.workspace_id, request.notebook_id, request.version, request.etag, user, now)
        await self._tell(made, UPDATED)
        return pb.RestoreNotebookVersionResponse(notebook=wire.notebook_out(made))

    async def ImportNotebook(self, request: pb.ImportNotebookRequest, context: Any) -> pb.ImportNotebookResponse:
        if not request.ipynb:
            raise invalid("ipynb", "Send the file's bytes.")
        title = wire.title_in(request.title) if request.title else ""
        try:
            # Reading a large file takes long enough to hold other calls up.
            content = await asyncio.to_thread(ipynb.imported, request.ipynb, title)
        except NotAllowed as error:
            raise wire.notebook_invalid(error) from None
        made = await self._create(request.workspace_id, request.idempotency_key, content)
        return pb.ImportNotebookResponse(notebook=wire.notebook_out(made))

    async def ExportNotebook(self, request: pb.ExportNotebookRequest, context: Any) -> pb.ExportNotebookResponse:
        found = await self._store.get(request.workspace_id, request.notebook_id)
        data = await asyncio.to_thread(ipynb.exported, found.content)
        return pb.ExportNotebookResponse(ipynb=data, filename=filename(found.content.title))
