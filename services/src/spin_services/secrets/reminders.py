"""Tells a workspace's log of credentials that expire within two weeks.

Rules: once for each date, which the entry's idempotency key sees to, however many replicas remind; a workspace whose log takes nothing does not
silence the others; an expired credential goes on being handed out, because the system that it is for decides what it is still good for.
"""

import asyncio
from collections.abc import Callable

import structlog

from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.errors import ServiceError
from spin_services.rpc.peers import Peers
from spin_services.secrets import wire
from spin_services.secrets.store import ConnectionStore

AHEAD_MS = 14 * 24 * 3600 * 1000
SWEEP_S = 3600.0

log = structlog.get_logger("spin.secrets")


class Reminders:
    def __init__(self, store: ConnectionStore, peers: Peers, clock: Callable[[], int]) -> None:
        self._store = store
        self._log = AuditLog(peers)
        self._clock = clock

    async def run(self) -> None:
        """For ever; a turn that fails is logged and made up for by the next."""
        while True:
            try:
                await self.once()
            except Exception as failure:
                log.exception("reminders_failed", failure=type(failure).__name__)
            await asyncio.sleep(SWEEP_S)

    async def once(self) -> None:
        now_ms = self._clock()
        # What expired long ago was told of, or nobody was here to tell it.
        for connection in await self._store.expiring(now_ms - AHEAD_MS, now_ms + AHEAD_MS):
            try:
                await self._log.append(connection.workspace_id, wire.expiry_entry(connection))
            except ServiceError as failure:
                log.error("reminder_failed", connection_id=connection.id, failure=str(failure))
