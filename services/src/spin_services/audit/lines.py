"""Which workspaces are above one, as the workspace service tells.

A parent never changes, so an answer is believed for a while. Whether the caller may work in the workspace was checked before anyone asks here.
"""

from collections.abc import Callable

from spin_services.rpc.peers import Peers
from spin_services.workspace_line import workspace_line
from spinapis.workspace.v1.workspaces_pb2_grpc import WorkspaceServiceStub

KEPT_MS = 60_000
CACHE_SIZE = 10_000


class Lines:
    def __init__(self, peers: Peers, clock: Callable[[], int]) -> None:
        self._workspaces = peers.stub(WorkspaceServiceStub)
        self._clock = clock
        self._known: dict[str, tuple[int, list[str]]] = {}

    async def above(self, workspace_id: str) -> list[str]:
        """The workspace's parent, its parent's parent, and so on."""
        now_ms = self._clock()
        known = self._known.get(workspace_id)
        if known is not None and known[0] > now_ms:
            return known[1]
        line = await workspace_line(self._workspaces, workspace_id)
        above = line[1:] if line[:1] == [workspace_id] else []
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[workspace_id] = (now_ms + KEPT_MS, above)
        return above
