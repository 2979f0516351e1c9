"""The WebSocket's whole life: gate, handshake with its deadline and byte limit, attachment, frames, end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from aiohttp import web

from spin_runtime.broker.api import Attachment, Status
from spin_runtime.server import gate, handshake
from spin_runtime.server.client import DRAINING, Client, Services
from spin_runtime.server.guard import ByteGuard
from spin_runtime.server.wire import MAX_FRAME, Fatal, FrameSocket, Gone
from spin_runtime.session.driver import Session
from spin_runtime.session.sessions import Sessions
from spin_runtime.telemetry import Metrics
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

SUBPROTOCOL = "spin.v1"
STRANGER_BYTES = 64 << 10
STRANGER_S = 5.0
# An unpaired runtime waits while the client fetches the grant from auth.
PAIRING_S = 60.0
STRANGERS_AT_ONCE = 128
HEARTBEAT_S = 30.0
# How long the frame that came just before an attachment's end may take.
LAST_FRAME_S = 15.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Caller:
    """What the upgrade request said."""

    origins: Sequence[str]
    hosts: Sequence[str]
    peer: str
    # It showed a certificate that the runtime's client CA vouches for.
    certified: bool = False

    @property
    def origin(self) -> str:
        return self.origins[0] if self.origins else ""


class Endpoint:
    def __init__(
        self, services: Services, sessions: Sessions, metrics: Metrics, warnings: Sequence[str], certificates_required: bool = False
    ) -> None:
        self._services, self._sessions, self._metrics, self._warnings = services, sessions, metrics, warnings
        self._certificates_required = certificates_required
        self._strangers = 0
        self._sockets: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self._strangers >= STRANGERS_AT_ONCE:
            raise web.HTTPServiceUnavailable(text="Too many connections are being opened: try again in a moment.\n")
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), heartbeat=HEARTBEAT_S, max_msg_size=MAX_FRAME, compress=False, autoping=True, timeout=2.0
        )
        offered = socket.can_prepare(request)
        if not offered.ok or offered.protocol != SUBPROTOCOL:
            raise web.HTTPBadRequest(text=f"This address takes WebSocket connections with the subprotocol {SUBPROTOCOL}.\n")
        certified = request.transport is not None and bool(request.transport.get_extra_info("peercert"))
        caller = Caller(request.headers.getall("Origin", ()), request.headers.getall("Host", ()), request.remote or "", certified)
        await socket.prepare(request)
        guard = ByteGuard(request, STRANGER_BYTES)
        self._sockets.add(socket)
        try:
            await self._serve(FrameSocket(socket), caller, guard)
        finally:
            self._sockets.discard(socket)
            await socket.close()
        return socket

    async def close(self) -> None:
        """Ends every connection: clients come again when the runtime is back."""
        await self.close_with(Fatal(reasons_pb2.ERROR_REASON_DRAINING, DRAINING))

    async def close_with(self, closing: Fatal) -> None:
        await asyncio.gather(*(FrameSocket(socket).close_with(closing) for socket in tuple(self._sockets)))

    async def _serve(self, socket: FrameSocket, caller: Caller, guard: ByteGuard) -> None:
        try:
            attachment = await self._admit(socket, caller)
            if attachment is not None:
                guard.lift()
                await self._attached(socket, attachment)
        except Fatal as fatal:
            log.info("connection refused", reason=reasons_pb2.ErrorReason.Name(fatal.reason), text=fatal.message, peer=caller.peer)
            await socket.close_with(fatal)
        except Gone:
            log.debug("client gone", peer=caller.peer)

    async def _admit(self, socket: FrameSocket, caller: Caller) -> Attachment | None:
        self._strangers += 1
        try:
            status = await self._services.broker.status()
            async with asyncio.timeout(STRANGER_S if status.paired else PAIRING_S):
                return await self._known(socket, caller, status)
        except TimeoutError:
            text = f"No authentication within {STRANGER_S:.0f} s: connect and attach again."
            raise Fatal(reasons_pb2.ERROR_REASON_PROTOCOL_VIOLATION, text) from None
        finally:
            self._strangers -= 1

    async def _known(self, socket: FrameSocket, caller: Caller, status: Status) -> Attachment | None:
        if self._certificates_required and not caller.certified:
            raise Fatal(reasons_pb2.ERROR_REASON_ORIGIN_REFUSED, gate.NO_CERTIFICATE)
        refusal = gate.refusal(caller.origins, caller.hosts, caller.peer, status, caller.certified)
        if refusal is not None:
            raise Fatal(reasons_pb2.ERROR_REASON_ORIGIN_REFUSED, refusal)
        async with asyncio.timeout(STRANGER_S):
            first = await socket.receive()
        if not status.paired:
            await handshake.pair(socket, self._services.broker, first)
            return None
        if self._sessions.draining:
            raise Fatal(reasons_pb2.ERROR_REASON_DRAINING, DRAINING)
        return await handshake.attach(socket, self._services.broker, first, caller.origin)

    async def _attached(self, socket: FrameSocket, attachment: Attachment) -> None:
        session = self._sessions.open(attachment.session_id)
        session.attached(attachment)
        session.clients += 1
        self._metrics.connections.inc()
        left_s = (attachment.expires_at_ms - self._services.clock_ms()) / 1000
        try:
            # Clients attach anew by themselves when a connection is gone.
            async with asyncio.timeout(left_s + LAST_FRAME_S):
                await socket.send(frames_pb2.RuntimeFrame(attached=await self._welcome(session)))
                await Client(socket, attachment, session, self._services).serve(left_s)
        except TimeoutError:
            raise Gone from None
        finally:
            session.detach(attachment)
            session.clients -= 1
            self._metrics.connections.dec()

    async def _welcome(self, session: Session) -> frames_pb2.Attached:
        status = await self._services.broker.status()
        journal = session.journal
        return frames_pb2.Attached(
            boot_id=status.boot_id,
            first_position=journal.first,
            last_position=journal.last if journal.last >= journal.first else 0,
            kernel=session.kernel_state,
            kernels=[
                frames_pb2.KernelSpec(name=spec.name, display_name=spec.display_name, language=spec.language) for spec in self._services.pool.specs()
            ],
            warnings=[*self._warnings, *filter(None, [session.egress_note])],
            trust_expires_at_ms=status.trust_expires_at_ms,
            trust_phase=status.trust_phase,
            runs_until_ms=status.runs_until_ms,
        )
