"""The fake platform's workspace service: workspaces, runtimes, notebooks, sessions."""

import json
from typing import Any

import grpc
import nbformat

from spinapis.workspace.v1 import notebooks_pb2, notebooks_pb2_grpc, workspaces_pb2, workspaces_pb2_grpc
from tests.fakes.documents import now_ms
from tests.fakes.platform_servicers import Context, Servicer, found, new_id, paged
from tests.fakes.rpc import refuse


class Workspaces(Servicer, workspaces_pb2_grpc.WorkspaceServiceServicer):
    async def CreateWorkspace(self, request: Any, context: Context) -> Any:
        return workspaces_pb2.CreateWorkspaceResponse(workspace=self.p.add_workspace(request.name))

    async def GetWorkspace(self, request: Any, context: Context) -> Any:
        return workspaces_pb2.GetWorkspaceResponse(workspace=await found(context, self.p.workspaces, request.workspace_id, "workspace"))

    async def ListWorkspaces(self, request: Any, context: Context) -> Any:
        return paged(request, workspaces_pb2.ListWorkspacesResponse, "workspaces", list(self.p.workspaces.values()))

    async def DeleteWorkspace(self, request: Any, context: Context) -> Any:
        await found(context, self.p.workspaces, request.workspace_id, "workspace")
        del self.p.workspaces[request.workspace_id]
        return workspaces_pb2.DeleteWorkspaceResponse()


class Runtimes(Servicer, workspaces_pb2_grpc.RuntimeServiceServicer):
    async def CreateRuntime(self, request: Any, context: Context) -> Any:
        if self.p.refuses_runtimes:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "A part that is needed does not answer: try again.")
        said = {"name": request.name, "url": request.url, "is_default": request.is_default, "labels": request.labels}
        runtime = workspaces_pb2.Runtime(id=new_id(), workspace_id=request.workspace_id, **said)
        self.p.runtimes[runtime.id] = runtime
        return workspaces_pb2.CreateRuntimeResponse(runtime=runtime)

    async def GetRuntime(self, request: Any, context: Context) -> Any:
        return workspaces_pb2.GetRuntimeResponse(runtime=await found(context, self.p.runtimes, request.runtime_id, "runtime"))

    async def ListRuntimes(self, request: Any, context: Context) -> Any:
        return paged(request, workspaces_pb2.ListRuntimesResponse, "runtimes", list(self.p.runtimes.values()))

    async def DeleteRuntime(self, request: Any, context: Context) -> Any:
        await found(context, self.p.runtimes, request.runtime_id, "runtime")
        del self.p.runtimes[request.runtime_id]
        return workspaces_pb2.DeleteRuntimeResponse()


class Notebooks(Servicer, notebooks_pb2_grpc.NotebookServiceServicer):
    async def CreateNotebook(self, request: Any, context: Context) -> Any:
        return notebooks_pb2.CreateNotebookResponse(notebook=self.p.add_notebook(request.workspace_id, request.title, list(request.cells)))

    async def GetNotebook(self, request: Any, context: Context) -> Any:
        return notebooks_pb2.GetNotebookResponse(notebook=await found(context, self.p.notebooks, request.notebook_id, "notebook"))

    async def ListNotebooks(self, request: Any, context: Context) -> Any:
        return paged(request, notebooks_pb2.ListNotebooksResponse, "notebooks", list(self.p.notebooks.values()))

    async def DeleteNotebook(self, request: Any, context: Context) -> Any:
        await found(context, self.p.notebooks, request.notebook_id, "notebook")
        del self.p.notebooks[request.notebook_id]
        return notebooks_pb2.DeleteNotebookResponse()

    async def SaveCellOutputs(self, request: Any, context: Context) -> Any:
        self.p.saved_outputs[request.cell_id] = json.loads(request.outputs_json)
        return notebooks_pb2.SaveCellOutputsResponse()

    async def ListNotebookVersions(self, request: Any, context: Context) -> Any:
        versions = [notebooks_pb2.NotebookVersion(version=n.version, title=n.title) for n in reversed(self.p.versions[request.notebook_id])]
        return paged(request, notebooks_pb2.ListNotebookVersionsResponse, "versions", versions)

    async def GetNotebookVersion(self, request: Any, context: Context) -> Any:
        return notebooks_pb2.GetNotebookVersionResponse(notebook=self.p.versions[request.notebook_id][request.version - 1])

    async def RestoreNotebookVersion(self, request: Any, context: Context) -> Any:
        old = self.p.versions[request.notebook_id][request.version - 1]
        new = self.p.notebooks[request.notebook_id]
        new.title, new.version = old.title, new.version + 1
        return notebooks_pb2.RestoreNotebookVersionResponse(notebook=new)

    async def ImportNotebook(self, request: Any, context: Context) -> Any:
        try:
            file = nbformat.reads(request.ipynb.decode(), as_version=4)
        except (ValueError, nbformat.reader.NotJSONError):
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "NOTEBOOK_INVALID", "the file is no notebook", where="file")
        cells = [
            notebooks_pb2.Cell(id=cell["id"], cell_type=cell["cell_type"], source=cell["source"], metadata_json=json.dumps(cell["metadata"]))
            for cell in file.cells
        ]
        return notebooks_pb2.ImportNotebookResponse(notebook=self.p.add_notebook(request.workspace_id, request.title, cells))

    async def ExportNotebook(self, request: Any, context: Context) -> Any:
        notebook = await found(context, self.p.notebooks, request.notebook_id, "notebook")
        file = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c.source, id=c.id) for c in notebook.cells])
        return notebooks_pb2.ExportNotebookResponse(ipynb=nbformat.writes(file).encode(), filename=f"{notebook.title}.ipynb")


class Sessions(Servicer, notebooks_pb2_grpc.SessionServiceServicer):
    async def OpenSession(self, request: Any, context: Context) -> Any:
        runtime_id = request.runtime_id or next((r.id for r in self.p.runtimes.values() if r.is_default), "")
        await found(context, self.p.runtimes, runtime_id, "runtime")
        for session in self.p.sessions.values():
            if (session.notebook_id, session.runtime_id, session.ended_at_ms) == (request.notebook_id, runtime_id, 0):
                return notebooks_pb2.OpenSessionResponse(session=session)
        session = notebooks_pb2.Session(
            id=new_id(), workspace_id=request.workspace_id, notebook_id=request.notebook_id, runtime_id=runtime_id, opened_at_ms=now_ms()
        )
        self.p.sessions[session.id] = session
        return notebooks_pb2.OpenSessionResponse(session=session)

    async def GetSession(self, request: Any, context: Context) -> Any:
        return notebooks_pb2.GetSessionResponse(session=await found(context, self.p.sessions, request.session_id, "session"))

    async def ListSessions(self, request: Any, context: Context) -> Any:
        return paged(request, notebooks_pb2.ListSessionsResponse, "sessions", list(self.p.sessions.values()))

    async def EndSession(self, request: Any, context: Context) -> Any:
        session = await found(context, self.p.sessions, request.session_id, "session")
        session.ended_at_ms = now_ms()
        return notebooks_pb2.EndSessionResponse(session=session)
