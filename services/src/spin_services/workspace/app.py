"""Builds the workspace service."""

from spin_services.database import upgrade
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.server import App
from spin_services.rpc.wiring import Wiring
from spin_services.workspace.changes import Changes
from spin_services.workspace.erasures import Erasures
from spin_services.workspace.notebook_service import NotebookServicer
from spin_services.workspace.notebook_store import NotebookStore
from spin_services.workspace.runtime_service import RuntimeServicer
from spin_services.workspace.runtime_store import RuntimeStore
from spin_services.workspace.session_service import SessionServicer
from spin_services.workspace.session_store import SessionStore
from spin_services.workspace.workspace_service import WorkspaceServicer
from spin_services.workspace.workspace_store import WorkspaceStore
from spinapis.workspace.v1 import notebooks_pb2, notebooks_pb2_grpc, workspaces_pb2, workspaces_pb2_grpc

NAME = "workspace"


async def build(wiring: Wiring) -> App:
    await upgrade(wiring.database, "spin_services.workspace.migrations")
    workspaces, notebooks = WorkspaceStore(wiring.database), NotebookStore(wiring.database)
    runtimes, sessions = RuntimeStore(wiring.database), SessionStore(wiring.database)
    erasures = Erasures(wiring.database, wiring.peers, wiring.clock)
    changes = Changes(AuditLog(wiring.peers), wiring.notifier)
    in_workspaces, in_notebooks = workspaces_pb2.DESCRIPTOR.services_by_name, notebooks_pb2.DESCRIPTOR.services_by_name
    return App(
        NAME,
        [
            (
                workspaces_pb2_grpc.add_WorkspaceServiceServicer_to_server,
                WorkspaceServicer(workspaces, erasures, wiring.peers, changes, wiring.clock),
                in_workspaces["WorkspaceService"].full_name,
            ),
            (
                workspaces_pb2_grpc.add_RuntimeServiceServicer_to_server,
                RuntimeServicer(runtimes, wiring.peers, changes, wiring.clock),
                in_workspaces["RuntimeService"].full_name,
            ),
            (
                notebooks_pb2_grpc.add_NotebookServiceServicer_to_server,
                NotebookServicer(notebooks, changes, wiring.clock),
                in_notebooks["NotebookService"].full_name,
            ),
            (
                notebooks_pb2_grpc.add_SessionServiceServicer_to_server,
                SessionServicer(sessions, notebooks, runtimes, changes, wiring.clock),
                in_notebooks["SessionService"].full_name,
            ),
        ],
        background=(erasures.run,),
    )
