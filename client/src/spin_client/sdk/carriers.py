"""What a client carries besides code: receipts to audit, audit's acknowledgement back, and outputs to the history.

Carriers work beside the runs and never fail one: what cannot be delivered now is tried again while the session is open, and any other client
of the runtime may deliver it later. Memory is bounded: a full carrier makes the stream wait.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from spin_client.sdk.errors import SpinError
from spin_client.sdk.events import RunKey, run_key
from spin_client.sdk.platform import Platform
from spin_client.sdk.wire import ConnectionLost
from spin_envelope.errors import Refused
from spin_envelope.signing import unverified
from spinapis.audit.v1 import audit_pb2
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.runtime.v1 import frames_pb2

log = logging.getLogger("spin_client")

T = TypeVar("T")

RECEIPTS_AT_ONCE = 200
OUTPUTS_AT_ONCE = 500
BYTES_AT_ONCE = 1 << 20
BYTES_WAITING = 16 << 20
# Outputs are gathered this long, so that a chatty cell makes few calls.
GATHER_S = 0.05
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class ReceiptCarrier:
    """Uploads receipts in order, sends each acknowledgement to the runtime, and knows which runs' ends are safe."""

    def __init__(self, platform: Platform, workspace_id: str, runtime_id: str, send: Callable[[frames_pb2.ClientFrame], Awaitable[None]]) -> None:
        self._platform = platform
        self._workspace_id = workspace_id
        self._runtime_id = runtime_id
        self._send = send
        self._waiting: deque[bytes] = deque()
        self._changed = asyncio.Condition()
        self._ended: set[RunKey] = set()
        self.delivered = 0

    async def add(self, receipts: Sequence[bytes]) -> None:
        async with self._changed:
            self._waiting.extend(receipts)
            self._changed.notify_all()

    def restart(self) -> None:
        """A new connection sends all that is not acknowledged, so what waits here would go twice."""
        self._waiting.clear()

    async def wait_ended(self, key: RunKey) -> None:
        """Returns when audit has acknowledged the run's end (or its rejection)."""
        async with self._changed:
            await self._changed.wait_for(lambda: key in self._ended)

    async def run(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
                batch = [self._waiting.popleft() for _ in range(min(RECEIPTS_AT_ONCE, len(self._waiting)))]
            request = audit_pb2.UploadReceiptsRequest(workspace_id=self._workspace_id, runtime_id=self._runtime_id, receipts=batch)
            answer = await _patiently(partial(self._platform.history.UploadReceipts, request), "receipts")
            if answer is None:
                continue
            await self._acknowledge(answer.receipt_ack)
            async with self._changed:
                self.delivered += len(batch)
                self._ended.update(key for key in map(_ended_run, batch) if key is not None)
                self._changed.notify_all()

    async def _acknowledge(self, receipt_ack: bytes) -> None:
        if not receipt_ack:
            return
        try:
            await self._send(frames_pb2.ClientFrame(receipt_ack=receipt_ack))
        except ConnectionLost:
            # The runtime sends these receipts again on the next connection, and audit acknowledges them again.
            return


class OutputCarrier:
    """Uploads the outputs of runs as the runtime framed them."""

    def __init__(self, platform: Platform, workspace_id: str, runtime_id: str) -> None:
        self._platform = platform
        self._workspace_id = workspace_id
        self._runtime_id = runtime_id
        self._waiting: deque[tuple[run_pb2.RunNonce, frames_pb2.Output]] = deque()
        self._bytes = 0
        self._busy = False
        self._changed = asyncio.Condition()
        self._stored: dict[RunKey, int] = {}
        self._given_up: set[RunKey] = set()

    async def add(self, nonce: run_pb2.RunNonce, outputs: Sequence[frames_pb2.Output]) -> None:
        """Waits while too much is waiting already: the stream then rests in the runtime's disk buffer."""
        known = self._stored.get(run_key(nonce), 0)
        chained = [o for o in outputs if o.index > known]
        if not chained or run_key(nonce) in self._given_up:
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self._bytes < BYTES_WAITING)
            self._waiting.extend((nonce, output) for output in chained)
            self._bytes += sum(len(o.body) for o in chained)
            self._changed.notify_all()

    async def drained(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting and not self._busy)

    async def run(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
            if self._bytes < BYTES_AT_ONCE:
                await asyncio.sleep(GATHER_S)
            async with self._changed:
                nonce, batch = self._next_batch()
                self._busy = True
            try:
                await self._upload(nonce, batch)
            finally:
                async with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _next_batch(self) -> tuple[run_pb2.RunNonce, list[frames_pb2.Output]]:
        nonce, size = self._waiting[0][0], 0
        batch: list[frames_pb2.Output] = []
        while self._waiting and self._waiting[0][0] == nonce and len(batch) < OUTPUTS_AT_ONCE and size < BYTES_AT_ONCE:
            output = self._waiting.popleft()[1]
            batch.append(output)
            size += len(output.body)
        self._bytes -= size
        return nonce, batch

    async def _upload(self, nonce: run_pb2.RunNonce, batch: list[frames_pb2.Output]) -> None:
        key = run_key(nonce)
        fresh = [o for o in batch if o.index > self._stored.get(key, 0)]
        if not fresh or key in self._given_up:
            return
        request = audit_pb2.UploadOutputsRequest(workspace_id=self._workspace_id, runtime_id=self._runtime_id, nonce=nonce, outputs=fresh)
        answer = await _patiently(partial(self._platform.history.UploadOutputs, request), "outputs")
        if answer is None:
            self._given_up.add(key)
        else:
            self._stored[key] = answer.stored


async def _patiently(call: Callable[[], Awaitable[T]], what: str) -> T | None:
    """Tries again while nobody answers; None when the platform refuses, which a repeat would not change."""
    attempt = 0
    while True:
        try:
            return await call()
        except SpinError as error:
            if not error.unreachable and error.reason not in ("RATE_LIMITED", "INTERNAL"):
                log.warning("audit refused %s: %s (%s)", what, error.text, error.reason)
                return None
        await asyncio.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
        attempt += 1


def _ended_run(data: bytes) -> RunKey | None:
    try:
        receipt = unverified(data, receipt_pb2.Receipt)
    except Refused:
        return None
    final = receipt.type in (receipt_pb2.RECEIPT_TYPE_END, receipt_pb2.RECEIPT_TYPE_REJECT)
    return run_key(receipt.nonce) if final else None
