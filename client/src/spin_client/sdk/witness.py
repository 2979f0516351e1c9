"""The client's half of witnessing the log. docs/protocol.md, section 7.

The runtime's Hello names the checkpoint of its home's log that the runtime holds. The platform must prove that today's log continues that one:
the client checks the proof itself, ends the session when it does not hold, and hands it to the runtime, which checks it as well.
"""

import asyncio
import logging

from spin_client.sdk.errors import LOG_REFUSED, SpinError
from spin_client.sdk.handshake import Attachment
from spin_client.sdk.platform import Platform
from spin_client.sdk.wire import ConnectionLost, Wire
from spin_envelope.errors import Refused
from spin_envelope.merkle import verify_consistency
from spin_envelope.note import Checkpoint, open_note, origin_of, unverified_checkpoint
from spin_envelope.root import TrustedRoot
from spinapis.audit.v1 import audit_pb2
from spinapis.envelope.v1 import trust_pb2 as documents_pb2
from spinapis.runtime.v1 import frames_pb2

log = logging.getLogger("spin_client")

# A program is held back for the first attempt, and not for longer than this: the runtime decides whether it may run.
_PATIENCE_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class LogWitness:
    """Proves the log to the runtime once per attachment, beside everything else that goes on."""

    def __init__(self, platform: Platform, workspace_id: str, runtime_id: str) -> None:
        self._platform, self._workspace_id, self._runtime_id = platform, workspace_id, runtime_id
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        # What ends the session: the log is not the one that the runtime has seen.
        self.refused: SpinError | None = None

    def begin(self, attachment: Attachment, wire: Wire) -> None:
        self.stop()
        self._tried = asyncio.Event()
        self._task = asyncio.create_task(self._prove(attachment, wire))

    async def tried(self) -> None:
        """Returns when the proof is on its way, or could not be had for now."""
        try:
            await asyncio.wait_for(self._tried.wait(), _PATIENCE_S)
        except TimeoutError:
            log.info("the audit log's proof is late; the runtime may refuse to run cells until it comes")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _prove(self, attachment: Attachment, wire: Wire) -> None:
        try:
            pause = _FIRST_PAUSE_S
            while not await self._attempted(attachment, wire):
                self._tried.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        except ConnectionLost:
            # The next attachment brings its own.
            return
        except SpinError as error:
            self.refused = error
            await wire.close()
        finally:
            self._tried.set()

    async def _attempted(self, attachment: Attachment, wire: Wire) -> bool:
        """False when nobody answers, so that it is tried again."""
        try:
            proof = await log_proof(self._platform, self._workspace_id, self._runtime_id, attachment)
        except SpinError as error:
            if error.reason in (LOG_REFUSED, "TRUST_REFUSED"):
                raise
            log.info("the audit log could not be asked for its proof: %s", error)
            return not error.unreachable
        if proof is not None:
            await wire.send(frames_pb2.ClientFrame(trust_documents=frames_pb2.TrustDocuments(log_proof=proof)))
        return True


async def log_proof(platform: Platform, workspace_id: str, runtime_id: str, attachment: Attachment) -> frames_pb2.LogProof | None:
    """The verified proof for the runtime; None where it holds no checkpoint yet. LOG_REFUSED for a log that does not continue it."""
    if not attachment.checkpoint:
        return None
    origin = origin_of(attachment.home_id)
    held = _held(attachment.checkpoint, origin)
    request = audit_pb2.GetConsistencyProofRequest(workspace_id=workspace_id, runtime_id=runtime_id, from_size=held.size)
    try:
        answer, root = await asyncio.gather(platform.log.GetConsistencyProof(request), platform.trust.root())
    except SpinError as error:
        if error.reason == "INVALID_ARGUMENT":
            # How audit says that its log was never of that size.
            raise _refused(origin, held.size, "fewer") from None
        raise
    return verified_proof(root, origin, held, answer)


def verified_proof(root: TrustedRoot, origin: str, held: Checkpoint, answer: audit_pb2.GetConsistencyProofResponse) -> frames_pb2.LogProof:
    """Raises SpinError(LOG_REFUSED) unless audit's note of today is proved to continue the held checkpoint."""
    try:
        now = open_note(answer.note, root.keys(documents_pb2.ROLE_AUDIT), origin)
    except Refused:
        raise SpinError(LOG_REFUSED, f"what the platform shows as the audit log {origin} is not signed by its audit service") from None
    try:
        verify_consistency(held.size, held.root_hash, now.size, now.root_hash, answer.hashes)
    except Refused:
        raise _refused(origin, held.size, str(now.size)) from None
    return frames_pb2.LogProof(from_size=held.size, note=answer.note.encode(), hashes=answer.hashes)


def _held(note: bytes, origin: str) -> Checkpoint:
    """The runtime vouches for it by Hello's signature: the key of audit's that signed it may be gone by now."""
    try:
        return unverified_checkpoint(note, origin)
    except Refused:
        raise SpinError(LOG_REFUSED, f"the checkpoint that the runtime holds is none of the audit log {origin}") from None


def _refused(origin: str, before: int, now: str) -> SpinError:
    text = (
        f"the audit log {origin} does not continue the one that this runtime has seen: {before} entries then, {now} now. "
        "The log was rewritten, forked or set back after the runtime saw it"
    )
    return SpinError(LOG_REFUSED, text, {"log": origin, "known_size": str(before), "shown_size": now})
