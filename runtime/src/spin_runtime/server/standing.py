"""What the runtime's trust means for its sessions: without it nothing runs, and one that was removed ends what it has.

A removed runtime still hands out its last receipts to who is attached, for a while, and then closes every connection.
"""

import asyncio
from contextlib import suppress

from spin_runtime.broker.api import Broker
from spin_runtime.server.endpoint import Endpoint
from spin_runtime.server.wire import Fatal
from spin_runtime.session import model as m
from spin_runtime.session.sessions import Sessions
from spinapis.envelope.v1 import trust_pb2
from spinapis.errors.v1 import reasons_pb2

EXPIRED = "The runtime's trust expired, so nothing runs there: attach again, which brings a newer trust state, and run the cell again."
REVOKED = "The runtime was removed from the workspace: nothing runs there any more. Choose another runtime, or add it anew."
# How long clients have to carry the last receipts to audit.
RECEIPTS_S = 10.0
LOOK_S = 0.2


class Standing:
    def __init__(self, broker: Broker, sessions: Sessions, endpoint: Endpoint) -> None:
        self._broker, self._sessions, self._endpoint = broker, sessions, endpoint

    async def follow(self) -> None:
        """Until the runtime was removed, or this is cancelled."""
        phase = trust_pb2.TRUST_PHASE_UNSPECIFIED
        while phase != trust_pb2.TRUST_PHASE_REVOKED:
            phase = (await self._broker.wait_trust(phase)).trust_phase
            if phase == trust_pb2.TRUST_PHASE_EXPIRED:
                self._tell(reasons_pb2.ERROR_REASON_TRUST_EXPIRED, EXPIRED)
            elif phase != trust_pb2.TRUST_PHASE_REVOKED:
                for session in self._sessions:
                    session.post(m.TrustBack())
        self._tell(reasons_pb2.ERROR_REASON_RUNTIME_REVOKED, REVOKED)
        await self._last_receipts()
        await self._endpoint.close_with(Fatal(reasons_pb2.ERROR_REASON_RUNTIME_REVOKED, REVOKED))

    def _tell(self, reason: m.Reason, text: str) -> None:
        for session in self._sessions:
            session.lose_trust(reason, text)

    def _working(self) -> bool:
        return any(session.state.current or session.state.kernel.coming for session in self._sessions)

    async def _last_receipts(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(RECEIPTS_S):
                while self._working() or await self._broker.receipts_after(0, 1):  # noqa: ASYNC110 - for some seconds, once in a runtime's life
                    await asyncio.sleep(LOOK_S)
