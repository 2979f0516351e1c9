"""The line of a workspace: the workspace, its parent, that one's parent, and so on, as the workspace service tells."""

from __future__ import annotations

from spinapis.workspace.v1 import workspaces_pb2_grpc
from spinapis.workspace.v1.workspaces_pb2 import ListAncestorsRequest

PAGE = 100


# The asynchronous kind of stub exists for type checkers alone.
async def workspace_line(workspaces: workspaces_pb2_grpc.WorkspaceServiceAsyncStub, workspace_id: str) -> list[str]:
    line: list[str] = []
    token = ""
    while True:
        answer = await workspaces.ListAncestors(ListAncestorsRequest(workspace_id=workspace_id, page_size=PAGE, page_token=token))
        line.extend(answer.workspace_ids)
        token = answer.next_page_token
        if not token:
            return line
