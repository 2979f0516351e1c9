"""What a client carries besides code: receipts to audit, audit's acknowledgement back, and outputs to the history.

Carriers work beside the runs and never fail one: what cannot be delivered now is tried again while the session is open, and any other client
of the runtime may deliver it later. Memory is bounded: a full carrier makes the stream wait. What short cells leave that follow one another
travels together.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from spin_client.sdk.errors import SpinError
from spin_client.sdk.events import RunKey, run_key
from spin_client.sdk.pace import Pace
from spin_client.sdk.platform import Platform
from spin_client.sdk.wire import ConnectionLost
from spin_envelope.errors import Refused
from spin_envelope.signing import unverified
from spinapis.audit.v1 import audit_pb2
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.runtime.v1 import frames_pb2

log = logging.getLogger("spin_client")

T = TypeVar("T")
Waiting = tuple[run_pb2.RunNonce, frames_pb2.Output]

RECEIPTS_AT_ONCE = 200
OUTPUTS_AT_ONCE = 500
BYTES_AT_ONCE = 1 << 20
RUNS_AT_ONCE = 100
BYTES_WAITING = 16 << 20
# How long a receipt may be on its way before audit is asked.
_ASK_AUDIT_S, _RUNS_AT_ONCE = 2.0, 500
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
        self.pace = Pace(lambda: len(self._waiting) >= RECEIPTS_AT_ONCE)
        self.delivered = 0

    async def add(self, receipts: Sequence[bytes]) -> None:
        async with self._changed:
            self._waiting.extend(receipts)
            self._changed.notify_all()
        self.pace.came()

    def restart(self) -> None:
        """A new connection sends all that is not acknowledged, so what waits here would go twice."""
        self._waiting.clear()

    async def wait_ended(self, session_id: str, runs: Collection[RunKey]) -> None:
        """Returns when audit holds the ends (or rejections) of these runs of a session.

        Where another client of the runtime was quicker to carry one, the runtime has forgotten it and it does not come here: audit is asked.
        """
        page = ""
        while not self._ended.issuperset(runs):
            with suppress(TimeoutError):
                async with asyncio.timeout(_ASK_AUDIT_S), self._changed:
                    await self._changed.wait_for(lambda: self._ended.issuperset(runs))
            if missing := set(runs) - self._ended:
                page = await self._ask_audit(session_id, missing, page)

    async def _ask_audit(self, session_id: str, missing: Collection[RunKey], page: str) -> str:
        """Looks for the ends of these runs, from a page on. Returns the page to begin with next time.

        A session lists its runs from the oldest on, so pages before the first that has one of them going on will not tell more.
        """
        request = audit_pb2.ListRunsRequest(workspace_id=self._workspace_id, session_id=session_id, page_size=_RUNS_AT_ONCE, page_token=page)
        going_on: list[str] = []
        try:
            while True:
                listed = await self._platform.history.ListRuns(request)
                found = {run_key(run.nonce): bool(run.ended_at_ms or run.reject_reason) for run in listed.runs if run_key(run.nonce) in missing}
                self._ended |= {key for key, ended in found.items() if ended}
                going_on += [] if all(found.values()) else [request.page_token]
                if not listed.next_page_token or self._ended.issuperset(missing):
                    return [*going_on, request.page_token][0]
                request.page_token = listed.next_page_token
        except SpinError as error:
            log.info("audit does not say which runs have ended: %s (%s)", error.text, error.reason)
            return ""

    async def run(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
            await self.pace.gathered()
            async with self._changed:
                batch = [self._waiting.popleft() for _ in range(min(RECEIPTS_AT_ONCE, len(self._waiting)))]
            if not batch:
                # A new connection brings them again.
                continue
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
    """Uploads the outputs of runs as the runtime framed them, those of several short runs in one call."""

    def __init__(self, platform: Platform, workspace_id: str, runtime_id: str) -> None:
        self._platform = platform
        self._workspace_id = workspace_id
        self._runtime_id = runtime_id
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self._busy = False
        self._changed = asyncio.Condition()
        self._stored: dict[RunKey, int] = {}
        self._given_up: set[RunKey] = set()
        self.pace = Pace(lambda: self._bytes >= BYTES_AT_ONCE)

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
        self.pace.came()

    async def drained(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting and not self._busy)

    async def run(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._waiting))
            await self.pace.gathered()
            async with self._changed:
                batch = self._next_batch()
                self._busy = True
            try:
                await self._upload(batch)
            finally:
                async with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _next_batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        size, runs = 0, set[RunKey]()
        while self._waiting and len(batch) < OUTPUTS_AT_ONCE and size < BYTES_AT_ONCE:
            runs.add(run_key(self._waiting[0][0]))
            if len(runs) > RUNS_AT_ONCE:
                break
            batch.append(self._waiting.popleft())
            size += len(batch[-1][1].body)
        self._bytes -= size
        return batch

    async def _upload(self, batch: Sequence[Waiting]) -> None:
        runs: dict[RunKey, audit_pb2.RunOutputs] = {}
        for nonce, output in batch:
            key = run_key(nonce)
            if output.index > self._stored.get(key, 0) and key not in self._given_up:
                runs.setdefault(key, audit_pb2.RunOutputs(nonce=nonce)).outputs.append(output)
        together = list(runs.values())
        if together and not await self._stored_together(together) and len(together) > 1:
            # One of them was refused, and the answer does not say how the others stand.
            for run in together:
                await self._stored_together([run])

    async def _stored_together(self, runs: Sequence[audit_pb2.RunOutputs]) -> bool:
        """False when the platform refused them; a run that is refused alone is given up."""
        first, *more = runs
        request = audit_pb2.UploadOutputsRequest(
            workspace_id=self._workspace_id, runtime_id=self._runtime_id, nonce=first.nonce, outputs=first.outputs, more=more
        )
        answer = await _patiently(partial(self._platform.history.UploadOutputs, request), "outputs")
        if answer is not None:
            stored = (answer.stored, *answer.more_stored)
            self._stored |= {run_key(run.nonce): count for run, count in zip(runs, stored, strict=True)}
        elif not more:
            self._given_up.add(run_key(first.nonce))
        return answer is not None


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
