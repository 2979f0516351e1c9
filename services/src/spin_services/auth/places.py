"""What auth asks the workspace service: where a session belongs, and which workspaces are above one.

Rules: a session never moves to another notebook, runtime or workspace, and a workspace never to another parent, so both are believed
for a short time; a runtime serves the workspace that it was enrolled in and those below.
"""

from collections.abc import Callable

from spin_services.auth.access import Kept
from spin_services.auth.store import Runtimes
from spin_services.auth.tables import RuntimeRow
from spin_services.rpc.errors import not_found
from spin_services.rpc.peers import Peers
from spin_services.workspace_line import workspace_line
from spinapis.workspace.v1.notebooks_pb2 import GetSessionRequest, Session
from spinapis.workspace.v1.notebooks_pb2_grpc import SessionServiceStub
from spinapis.workspace.v1.workspaces_pb2 import GetRuntimeRequest
from spinapis.workspace.v1.workspaces_pb2_grpc import RuntimeServiceStub, WorkspaceServiceStub

SESSION_KEPT_MS = 30_000
LINE_KEPT_MS = 60_000


class Places:
    def __init__(self, peers: Peers, runtimes: Runtimes, clock: Callable[[], int]) -> None:
        self._sessions = peers.stub(SessionServiceStub)
        self._workspaces = peers.stub(WorkspaceServiceStub)
        self._records = peers.stub(RuntimeServiceStub)
        self._runtimes = runtimes
        self._kept_sessions: Kept[tuple[str, str], Session] = Kept(SESSION_KEPT_MS, clock)
        self._kept_lines: Kept[str, list[str]] = Kept(LINE_KEPT_MS, clock)

    async def session(self, workspace_id: str, session_id: str) -> Session:
        """The open session of that workspace. Raises NOT_FOUND."""
        session = self._kept_sessions.get((workspace_id, session_id))
        if session is None:
            answer = await self._sessions.GetSession(GetSessionRequest(workspace_id=workspace_id, session_id=session_id))
            session = answer.session
            if session.workspace_id != workspace_id or session.id != session_id or session.ended_at_ms:
                raise not_found("session", session_id)
            self._kept_sessions.put((workspace_id, session_id), session)
        return session

    async def check_session(self, workspace_id: str, session_id: str, notebook_id: str, runtime_id: str) -> None:
        """A capability or a grant for a session is for its own notebook and runtime."""
        session = await self.session(workspace_id, session_id)
        if session.notebook_id != notebook_id:
            raise not_found("notebook", notebook_id)
        if session.runtime_id != runtime_id:
            raise not_found("runtime", runtime_id)

    async def check_record(self, workspace_id: str, runtime_id: str) -> None:
        """The runtime's record is this workspace's own: what is enrolled under an inherited one's id would stand in its place. Raises NOT_FOUND."""
        answer = await self._records.GetRuntime(GetRuntimeRequest(workspace_id=workspace_id, runtime_id=runtime_id))
        if (answer.runtime.id, answer.runtime.workspace_id) != (runtime_id, workspace_id):
            raise not_found("runtime", runtime_id)

    async def runtime(self, workspace_id: str, runtime_id: str) -> RuntimeRow:
        """The runtime as the workspace sees it: its own, or an ancestor's. Raises NOT_FOUND."""
        own = await self._runtimes.runtime(workspace_id, runtime_id)
        if own is not None:
            return own
        homes = await self._runtimes.homes(runtime_id)
        for ancestor in await self.line(workspace_id) if homes else ():
            if ancestor in homes and (row := await self._runtimes.runtime(ancestor, runtime_id)) is not None:
                return row
        raise not_found("runtime", runtime_id)

    async def line(self, workspace_id: str) -> list[str]:
        """The workspace and all above it, nearest first. Raises NOT_FOUND."""
        known = self._kept_lines.get(workspace_id)
        if known is not None:
            return known
        found = await workspace_line(self._workspaces, workspace_id)
        if found[:1] != [workspace_id]:
            raise not_found("workspace", workspace_id)
        self._kept_lines.put(workspace_id, found)
        return found
