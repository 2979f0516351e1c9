"""The runtime's socket with its attach handshake, kept up.

`RuntimeSocket.frames()` yields every frame of the session's stream once and in order, over as many connections as it takes: when one is lost it
attaches again (with a new capability, a new Hello, perhaps of a new boot) and resumes after the last frame that was handed on.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from spin_client.sdk.client_tls import ClientTls
from spin_client.sdk.errors import NOT_REACHABLE, SpinError, from_frame
from spin_client.sdk.handshake import Attachment, ClientKey, answer_hello, check_hello, open_with
from spin_client.sdk.identifiers import id_bytes
from spin_client.sdk.platform import Platform
from spin_client.sdk.stream import Cursor, Verdict
from spin_client.sdk.trust import EnrolledRuntime, verify_runtime
from spin_client.sdk.wire import ConnectionLost, Wire, dial
from spin_client.sdk.witness import LogWitness
from spinapis.auth.v1 import trust_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

# How long a lost connection is tried again before the session gives up.
PATIENCE_S = 60.0
_HANDSHAKE_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
# Another client may prove a newer log between this one's fetching of a trust state and its arrival; that does not happen over and over.
_LOG_ATTEMPTS = 3

Dial = Callable[[str, ClientTls], Awaitable[Wire]]


@dataclass(frozen=True)
class SessionAddress:
    """What a socket is opened for."""

    workspace_id: str
    session_id: str
    notebook_id: str
    runtime_id: str
    runtime_url: str
    # The workspace that the runtime is registered in: a parent's, for an inherited one.
    home_id: str


@dataclass(frozen=True)
class Reattached:
    """Handed on between frames: a (new) attachment, with the state that the runtime reports."""

    attachment: Attachment
    attached: frames_pb2.Attached
    new_boot: bool


class RuntimeSocket:
    """One client's attachment to one session. `patience_s`: how long a lost connection is tried again before giving up."""

    def __init__(
        self, platform: Platform, address: SessionAddress, *, from_start: bool = False, patience_s: float | None = None, dialer: Dial = dial
    ) -> None:
        self._platform = platform
        self._address = address
        self._from_start = from_start
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._dial = dialer
        self._key = ClientKey()
        self._cursor = Cursor()
        self._wire: Wire | None = None
        self._open = asyncio.Event()
        self._witness = LogWitness(platform, address.workspace_id, address.runtime_id)
        # Counts attachments, so that a sender can tell on which one its frame went out.
        self.connection = 0
        # Why there will be no further connection.
        self.ended: SpinError | None = None
        self.runtime: EnrolledRuntime | None = None

    @property
    def position(self) -> int:
        return self._cursor.position or 0

    async def frames(self) -> AsyncIterator[frames_pb2.RuntimeFrame | Reattached]:
        """Ends with SpinError when the runtime refuses, or stays away for longer than the patience."""
        try:
            async for item in self._over_connections():
                yield item
        except SpinError as error:
            # Whoever waits to send learns of it as well.
            self.ended = error
            self._open.set()
            raise

    async def _over_connections(self) -> AsyncIterator[frames_pb2.RuntimeFrame | Reattached]:
        while True:
            yield await self._attached_patiently()
            try:
                async for frame in self._of_this_connection():
                    yield frame
            except ConnectionLost:
                if self._witness.refused is not None:
                    raise self._witness.refused from None
                # A runtime that hangs up at once must not be asked in a tight loop.
                await asyncio.sleep(_FIRST_PAUSE_S)
            finally:
                await self._drop()

    async def send(self, frame: frames_pb2.ClientFrame) -> int:
        """Sends on the current connection, waiting for the next one where there is none; returns its number. May raise ConnectionLost."""
        await self._open.wait()
        if self.ended is not None:
            raise self.ended
        wire, connection = self._wire, self.connection
        if wire is None:
            raise ConnectionLost("the connection to the runtime was lost")
        if frame.HasField("sealed"):
            # What runs before the log is proved may be refused.
            await self._witness.tried()
        await wire.send(frame)
        return connection

    async def reattach(self) -> None:
        """Drops the connection, so that `frames` attaches anew: for a Hello that has become too old."""
        if self._wire is not None:
            await self._wire.close()

    async def close(self) -> None:
        await self._drop()

    async def _of_this_connection(self) -> AsyncIterator[frames_pb2.RuntimeFrame]:
        wire = self._wire
        assert wire is not None
        while True:
            frame = await wire.receive()
            verdict = self._cursor.judge(frame.position)
            if verdict is Verdict.GAP:
                raise ConnectionLost("frames are missing")
            if frame.HasField("error") and (frame.error.fatal or frame.error.reason == reasons_pb2.ERROR_REASON_POSITION_UNKNOWN):
                # Without a position that is kept no stream comes on this connection any more.
                _raise_fatal(from_frame(frame.error))
            if frame.HasField("error") and not frame.error.ciphertext_digest and from_frame(frame.error).of_the_log:
                raise ConnectionLost(frame.error.message)
            if verdict is Verdict.DELIVER:
                yield frame

    async def _attached_patiently(self) -> Reattached:
        give_up, pause, of_the_log = time.monotonic() + self._patience_s, _FIRST_PAUSE_S, 0
        while True:
            try:
                return await self._attach()
            except (ConnectionLost, SpinError) as fault:
                if isinstance(fault, SpinError) and not fault.unreachable:
                    of_the_log += 1
                    if not fault.of_the_log or of_the_log == _LOG_ATTEMPTS:
                        raise
                if time.monotonic() + pause > give_up:
                    raise SpinError(NOT_REACHABLE, str(fault)) from None
            # Full jitter keeps many clients of a restarted runtime apart.
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret depends on it
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _attach(self) -> Reattached:
        granted, trust, documents = await asyncio.gather(self._capability(), self._trust_state(), self._platform.trust.documents())
        runtime = await self._enrolled()
        session_id = id_bytes(self._address.session_id)
        opening = open_with(self._key, granted, documents, trust, session_id)
        wire = await self._dial(self._address.runtime_url, self._platform.tls)
        try:
            await wire.send(opening.frame)
            attachment = check_hello(await _expect(wire, "hello"), opening, runtime)
            await wire.send(answer_hello(self._key, attachment.hello))
            attached = await _expect_attached(wire)
            new_boot = self._cursor.boot_id not in (b"", attachment.boot_id)
            position = self._cursor.attach(attachment.boot_id, attached.first_position, attached.last_position, from_start=self._from_start)
            await wire.send(frames_pb2.ClientFrame(resume=frames_pb2.Resume(position=position)))
        except BaseException:
            await wire.close()
            raise
        self._wire = wire
        self.connection += 1
        self._witness.begin(attachment, wire)
        self._open.set()
        return Reattached(attachment, attached, new_boot)

    async def _capability(self) -> trust_pb2.IssueCapabilityResponse:
        a = self._address
        request = trust_pb2.IssueCapabilityRequest(
            workspace_id=a.workspace_id, session_id=a.session_id, notebook_id=a.notebook_id, runtime_id=a.runtime_id, cnf=self._key.cnf, origin=""
        )
        return await self._platform.grants.IssueCapability(request)

    async def _trust_state(self) -> bytes:
        request = trust_pb2.GetTrustStateRequest(workspace_id=self._address.workspace_id, runtime_id=self._address.runtime_id)
        return (await self._platform.enrolment.GetTrustState(request)).trust_state

    async def _enrolled(self) -> EnrolledRuntime:
        if self.runtime is None:
            a = self._address
            request = trust_pb2.GetRuntimeTrustRequest(workspace_id=a.workspace_id, runtime_id=a.runtime_id)
            root = await self._platform.trust.root()
            self.runtime = verify_runtime(root, await self._platform.enrolment.GetRuntimeTrust(request), a.runtime_id, (a.workspace_id, a.home_id))
        return self.runtime

    async def fresh_trust(self) -> frames_pb2.ClientFrame:
        """A frame with a new trust state, for a runtime whose own runs out."""
        trust, documents = await asyncio.gather(self._trust_state(), self._platform.trust.documents())
        return frames_pb2.ClientFrame(trust_documents=frames_pb2.TrustDocuments(root_documents=documents, trust_state=trust))

    async def _drop(self) -> None:
        self._open.clear()
        self._witness.stop()
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()


def _raise_fatal(error: SpinError) -> None:
    """This connection is of no use after the frame: attach again where that can help, else pass it on."""
    if error.reason in ("DRAINING", "POSITION_UNKNOWN"):
        raise ConnectionLost(error.text)
    raise error


async def _expect(wire: Wire, field: str) -> bytes:
    frame = await wire.receive(_HANDSHAKE_S)
    kind = frame.WhichOneof("body")
    if kind == "error":
        raise from_frame(frame.error)
    if kind != field:
        raise SpinError("PROTOCOL_VIOLATION", f"the runtime sent {kind} where {field} was expected")
    value: bytes = getattr(frame, field)
    return value


async def _expect_attached(wire: Wire) -> frames_pb2.Attached:
    frame = await wire.receive(_HANDSHAKE_S)
    kind = frame.WhichOneof("body")
    if kind == "error":
        raise from_frame(frame.error)
    if kind != "attached":
        raise SpinError("PROTOCOL_VIOLATION", f"the runtime sent {kind} where attached was expected")
    return frame.attached
