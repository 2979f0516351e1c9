"""Has secrets erase what deleted workspaces had.

Rules: the deletion and the order to erase are one transaction, so nothing is erased of a workspace that stays, and nothing stays of one that went; an
order that fails is given again until secrets has done it; to erase twice is to erase once.
"""

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy import select, update
from sqlmodel import col

from spin_services.database import Database
from spin_services.rpc.errors import ServiceError
from spin_services.rpc.peers import Peers
from spin_services.workspace.tables import ErasureRow
from spinapis.secrets.v1.keys_pb2 import EraseWorkspaceRequest
from spinapis.secrets.v1.keys_pb2_grpc import KeyServiceStub

PATIENCE_S = 5.0
SWEEP_S = 60.0
BATCH = 100

log = structlog.get_logger("spin.workspace")


class Erasures:
    def __init__(self, database: Database, peers: Peers, clock: Callable[[], int]) -> None:
        self._database = database
        self._keys = peers.stub(KeyServiceStub)
        self._clock = clock

    async def run(self) -> None:
        """For ever: what was left over by a failure or a stop."""
        while True:
            try:
                for workspace_id in await self._open():
                    await self.erase(workspace_id)
            except Exception as failure:
                log.exception("erasures_failed", failure=type(failure).__name__)
            await asyncio.sleep(SWEEP_S)

    async def erase(self, workspace_id: str) -> None:
        """Now, or in a while where secrets does not do it now."""
        try:
            await self._keys.EraseWorkspace(EraseWorkspaceRequest(workspace_id=workspace_id), timeout=PATIENCE_S)
        except ServiceError as failure:
            log.error("erasure_put_off", workspace_id=workspace_id, failure=str(failure))
            return
        async with self._database.session() as session:
            mine = col(ErasureRow.workspace_id) == workspace_id
            await session.execute(update(ErasureRow).where(mine).values(erased_at_ms=self._clock()))
            await session.commit()

    async def _open(self) -> list[str]:
        query = select(col(ErasureRow.workspace_id)).where(col(ErasureRow.erased_at_ms) == 0).order_by(col(ErasureRow.deleted_at_ms)).limit(BATCH)
        async with self._database.reading() as session:
            return list(await session.scalars(query))
