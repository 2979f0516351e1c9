"""The clients that the broker knows: those that got a Hello, and those that are attached.

- The server has a client's handle, and says nothing of a client that the broker would believe: who somebody is, and what they may do, was
  verified here and stays here.
- A client has one handle, from its Hello on. While it is pending it has one attempt, within two minutes. An attached one counts until it is
  detached, and for an hour at most; then it is told to attach again (HELLO_STALE), which asks auth whether it still may.
- Both are bounded. Of pending clients the oldest goes; who attaches when all places are taken is told so, and nobody loses theirs.
"""

import os
from dataclasses import dataclass

from spin_runtime.broker.api import Attachment
from spin_runtime.broker.attachment import Known, Pending, check_client_auth
from spin_runtime.broker.refusals import Denial
from spinapis.envelope.v1 import attach_pb2
from spinapis.errors.v1 import reasons_pb2

PENDING_MS = 2 * 60 * 1000
ATTACHED_MS = 3600 * 1000
PENDING_AT_ONCE = 512
ATTACHED_AT_ONCE = 16_384
OVER = "This connection's attachment is over: attach again."


@dataclass(frozen=True)
class _Waiting:
    pending: Pending
    until_ms: int


@dataclass(frozen=True)
class _Attached:
    known: Known
    until_ms: int


class Clients:
    def __init__(self) -> None:
        self._pending: dict[bytes, _Waiting] = {}
        self._attached: dict[bytes, _Attached] = {}

    def expect(self, pending: Pending, now_ms: int) -> bytes:
        """The handle of a client that got a Hello."""
        if len(self._pending) >= PENDING_AT_ONCE:
            del self._pending[next(iter(self._pending))]
        handle = os.urandom(16)
        self._pending[handle] = _Waiting(pending, now_ms + PENDING_MS)
        return handle

    def attach(self, handle: bytes, client_auth: bytes, now_ms: int) -> Attachment:
        """Raises Denial. Whatever comes of it, the handle's one attempt is used."""
        waiting = self._pending.pop(handle, None)
        if waiting is None or now_ms > waiting.until_ms:
            raise _over("no client waits under this handle")
        known = check_client_auth(waiting.pending, client_auth, now_ms)
        if len(self._attached) >= ATTACHED_AT_ONCE:
            text = "The runtime has as many connections as it takes: close some, or try again later."
            raise Denial(reasons_pb2.ERROR_REASON_UNAVAILABLE, text, service="runtime")
        until_ms = now_ms + ATTACHED_MS
        self._attached[handle] = _Attached(known, until_ms)
        return Attachment(handle, known.session_id, known.scopes, until_ms, known.egress)

    def detach(self, handle: bytes) -> None:
        self._pending.pop(handle, None)
        self._attached.pop(handle, None)

    def attached(self, handle: bytes, now_ms: int) -> Known:
        """Raises Denial."""
        held = self._attached.get(handle)
        if held is None or now_ms > held.until_ms:
            # Whoever is attached for longer than that attaches again by itself.
            raise Denial(reasons_pb2.ERROR_REASON_HELLO_STALE, OVER, "no client is attached under this handle")
        return held.known

    def may_run(self, handle: bytes, now_ms: int) -> Known:
        """Raises Denial."""
        known = self.attached(handle, now_ms)
        if attach_pb2.SCOPE_RUN not in known.scopes:
            raise Denial(reasons_pb2.ERROR_REASON_SCOPE_MISSING, "Your access to this session is for viewing: it runs nothing.", scope="SCOPE_RUN")
        return known

    def expire(self, now_ms: int) -> None:
        self._pending = {handle: held for handle, held in self._pending.items() if now_ms <= held.until_ms}
        self._attached = {handle: held for handle, held in self._attached.items() if now_ms <= held.until_ms}


def _over(why: str) -> Denial:
    return Denial(reasons_pb2.ERROR_REASON_CAPABILITY_INVALID, OVER, why)
