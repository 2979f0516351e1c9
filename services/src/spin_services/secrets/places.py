"""Which workspaces' connections meet in one runtime."""

import asyncio

from spin_services.rpc.errors import ErrorReason, ServiceError, not_found
from spin_services.rpc.peers import Peers
from spin_services.secrets.bundle_store import BundleStore
from spin_services.workspace_line import workspace_line
from spinapis.workspace.v1.workspaces_pb2_grpc import WorkspaceServiceStub


class Places:
    def __init__(self, peers: Peers, bundles: BundleStore, bundle_life_ms: int) -> None:
        self._workspaces = peers.stub(WorkspaceServiceStub)
        self._bundles = bundles
        self._bundle_life_ms = bundle_life_ms

    async def line(self, workspace_id: str) -> list[str]:
        """The workspace, its parent, and so on."""
        return await workspace_line(self._workspaces, workspace_id) or [workspace_id]

    async def sharing(self, workspace_id: str, home: str, runtime_id: str, now_ms: int) -> tuple[list[str], list[str]]:
        """The line of a workspace that may use the runtime, and all workspaces whose connections the runtime may hold. Raises NOT_FOUND."""
        line = await self.line(workspace_id)
        if home not in line:
            raise not_found("runtime", runtime_id)
        sharers = await self._bundles.share(home, runtime_id, workspace_id, now_ms, self._bundle_life_ms)
        lines = await asyncio.gather(*(self._line_if_there(sharer) for sharer in sharers if sharer != workspace_id))
        together = {place for found in lines if home in found for place in found}
        return line, sorted(together | set(line))

    async def _line_if_there(self, workspace_id: str) -> list[str]:
        """None of a workspace that was deleted since."""
        try:
            return await self.line(workspace_id)
        except ServiceError as error:
            if error.reason != ErrorReason.ERROR_REASON_NOT_FOUND:
                raise
            return []
