"""The runtime's testimony: one chain of signed receipts over all its boots. docs/protocol.md, section 7.

- Numbers have no gaps and each receipt names its predecessor's digest, so numbering, signing and queueing happen in one step.
- A receipt exists once it is on disk: `write` returns then, and nobody is handed it earlier. Receipts that come while the disk is
  busy share the next sync.
- Receipts stay until audit has acknowledged them. The last one stays for the chain, the START of an unfinished run for its END.
- When the disk refuses, the receipts in hand fail, and the chain goes on after the last one that is on disk.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter

from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.signing import sign, unverified
from spin_runtime.broker.api import BrokerError
from spin_runtime.broker.journal import Journal, Place
from spin_runtime.broker.refusals import Denial, disk_refuses, log
from spinapis.envelope.v1 import receipt_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2

# The journal is rewritten when it is larger than this and most of it is acknowledged.
COMPACT_BYTES = 1 << 20
# A disk that syncs within this time on average is not worth a change of threads, which costs as much; one slow sync is no reason.
FAST_SYNC_S = 0.002
# While other runs go on, every one of them would wait for it, and none would share it.
FAST_AMONG_OTHERS_S = 0.0005
RECEIPT, ACKNOWLEDGED = b"R", b"A"


@dataclass(frozen=True)
class Author:
    """Who signs: what stands in each receipt beside its own content."""

    identity: SigningKey
    workspace_id: bytes
    runtime_id: bytes
    boot_id: bytes
    clock: Callable[[], int]
    phase: Callable[[], trust_pb2.TrustPhase.ValueType]


@dataclass(frozen=True)
class Head:
    seq: int = 0
    digest: bytes = bytes(32)


@dataclass
class _Waiting:
    entry: bytes
    head: Head
    receipt: receipt_pb2.Receipt | None
    done: "asyncio.Future[None]"


@dataclass
class _Unfinished:
    """A run with a START on disk and no END."""

    start: receipt_pb2.Receipt
    start_seq: int
    latest: receipt_pb2.Receipt
    latest_seq: int


@dataclass
class Receipts:
    journal: Journal
    author: Author
    # The newest receipt that was signed, and the newest that is on disk.
    head: Head = Head()
    durable: Head = Head()
    acknowledged: int = 0
    _places: dict[int, Place] = field(default_factory=dict)
    _unfinished: dict[bytes, _Unfinished] = field(default_factory=dict)
    _queue: list[_Waiting] = field(default_factory=list)
    _waiters: set["asyncio.Future[None]"] = field(default_factory=set)
    # How long the disk lately took: an average in which the last ten syncs count most.
    _sync_s: float = 0.0
    _writer: "asyncio.Task[None] | None" = None
    _disk: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "spin-receipts"))

    def open(self) -> None:
        """Reads what is on disk, says that the runtime came up, and ends the runs that an earlier boot left unfinished. Raises DiskError."""
        for place, entry in self.journal.load():
            self._recall(place, entry)
        lost = [run.latest for run in self._unfinished.values()]
        self._write_now(receipt_pb2.Receipt(type=receipt_pb2.RECEIPT_TYPE_BOOT))
        for latest in lost:
            self._write_now(lost_end(latest))
        if lost:
            log.warning("runs_lost", count=len(lost))

    async def write(self, receipt: receipt_pb2.Receipt) -> int:
        """Numbers, signs and stores a receipt; on disk when it returns. Raises BrokerError when the disk refuses."""
        entry, head = self._signed(receipt)
        await self._enqueue(entry, head, receipt)
        return head.seq

    async def after(self, seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Receipts on disk, unacknowledged, numbered above `seq`."""
        first = max(seq, self.acknowledged) + 1
        wanted = range(first, min(self.durable.seq, first + limit - 1) + 1)
        if not wanted:
            return []
        return await asyncio.get_running_loop().run_in_executor(self._disk, self._read, wanted)

    async def wait_beyond(self, seq: int) -> None:
        """Returns when `after` has something to give: a receipt numbered above `seq` that audit has not acknowledged."""
        while self.durable.seq <= max(seq, self.acknowledged):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    async def acknowledge(self, up_to_seq: int, digest: bytes) -> None:
        """Forgets receipts up to here. `digest` must be that of the last of them: else audit holds another chain. Raises BrokerError."""
        if up_to_seq <= self.acknowledged:
            return
        receipts = await self.after(up_to_seq - 1, 1)
        if not receipts or signed_digest(receipts[0][1]) != digest:
            raise Denial(
                reasons_pb2.ERROR_REASON_RECEIPT_CONFLICT,
                "The acknowledgement does not fit this runtime's receipts",
                f"ack of receipt {up_to_seq} contradicts the chain, whose head is {self.durable.seq}",
                receipt_seq=str(up_to_seq),
            )
        await self._enqueue(ACKNOWLEDGED + up_to_seq.to_bytes(8), Head(up_to_seq), None)

    async def close(self) -> None:
        while self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer])
        for waiter in self._waiters:
            waiter.set_exception(BrokerError(reasons_pb2.ERROR_REASON_DRAINING, "The runtime is going down: attach again when it is back."))
        self._disk.shutdown()
        self.journal.close()

    def _signed(self, receipt: receipt_pb2.Receipt) -> tuple[bytes, Head]:
        author = self.author
        receipt.workspace_id, receipt.runtime_id, receipt.boot_id = author.workspace_id, author.runtime_id, author.boot_id
        receipt.receipt_seq, receipt.prev_digest, receipt.time_ms = self.head.seq + 1, self.head.digest, author.clock()
        receipt.trust_phase = author.phase()
        data = sign(receipt, author.identity)
        self.head = Head(receipt.receipt_seq, signed_digest(data))
        return RECEIPT + data, self.head

    async def _enqueue(self, entry: bytes, head: Head, receipt: receipt_pb2.Receipt | None) -> None:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(entry, head, receipt, loop.create_future())
        self._queue.append(waiting)
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._write_queued())
        await waiting.done

    async def _write_queued(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch, self._queue = self._queue, []
            try:
                places = await self._append([waiting.entry for waiting in batch])
            except OSError as error:
                self._fail(batch, error)
                continue
            for waiting, place in zip(batch, places, strict=True):
                if waiting.receipt is None:
                    self.acknowledged = max(self.acknowledged, waiting.head.seq)
                else:
                    self._remember(place, waiting.receipt, waiting.head)
                if not waiting.done.done():
                    waiting.done.set_result(None)
            self._wake()
            if self._compactable():
                # Only here, because nothing else is on its way to the disk now.
                await loop.run_in_executor(self._disk, self._compact, self._kept())

    async def _append(self, entries: Sequence[bytes]) -> list[Place]:
        """On a fast disk right here, because handing over to a thread costs as much as the sync; else in a thread, so that nobody else waits."""
        started = perf_counter()
        alone = len(self._unfinished) <= 1
        if self._sync_s < (FAST_SYNC_S if alone else FAST_AMONG_OTHERS_S):
            places = self.journal.append(entries)
        else:
            places = await asyncio.get_running_loop().run_in_executor(self._disk, self.journal.append, entries)
        self._sync_s += 0.1 * (perf_counter() - started - self._sync_s)
        return places

    def _fail(self, batch: Sequence[_Waiting], error: OSError) -> None:
        # What was signed on top of these is in the queue, and its predecessor will never be on disk: it fails with them.
        failed, self._queue, self.head = [*batch, *self._queue], [], self.durable
        log.error("receipts_not_written", error=error.strerror, count=len(failed))
        for waiting in failed:
            if not waiting.done.done():
                waiting.done.set_exception(disk_refuses())

    def _write_now(self, receipt: receipt_pb2.Receipt) -> None:
        entry, head = self._signed(receipt)
        started = perf_counter()
        (place,) = self.journal.append([entry])
        self._sync_s = perf_counter() - started
        self._remember(place, receipt, head)

    def _recall(self, place: Place, entry: bytes) -> None:
        kind, data = entry[:1], entry[1:]
        if kind == ACKNOWLEDGED:
            self.acknowledged = int.from_bytes(data)
            return
        receipt = unverified(data, receipt_pb2.Receipt)
        self.head = Head(receipt.receipt_seq, signed_digest(data))
        self._remember(place, receipt, self.head)

    def _remember(self, place: Place, receipt: receipt_pb2.Receipt, head: Head) -> None:
        self.durable = head
        self._places[head.seq] = place
        key = receipt.nonce.SerializeToString(deterministic=True)
        if receipt.type == receipt_pb2.RECEIPT_TYPE_START:
            self._unfinished[key] = _Unfinished(receipt, head.seq, receipt, head.seq)
        elif receipt.type == receipt_pb2.RECEIPT_TYPE_PROGRESS and key in self._unfinished:
            self._unfinished[key].latest, self._unfinished[key].latest_seq = receipt, head.seq
        elif receipt.type == receipt_pb2.RECEIPT_TYPE_END:
            self._unfinished.pop(key, None)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _read(self, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        return [(seq, self.journal.read(self._places[seq])[1:]) for seq in numbers if seq in self._places]

    def _compactable(self) -> bool:
        return self.journal.size > COMPACT_BYTES and len(self._kept()) <= len(self._places) // 2

    def _kept(self) -> list[int]:
        needed = {seq for run in self._unfinished.values() for seq in (run.start_seq, run.latest_seq)} | {self.durable.seq}
        return [seq for seq in self._places if seq > self.acknowledged or seq in needed]

    def _compact(self, kept: Sequence[int]) -> None:
        entries = [ACKNOWLEDGED + self.acknowledged.to_bytes(8), *(self.journal.read(self._places[seq]) for seq in kept)]
        places = self.journal.rewrite(entries)
        self._places = dict(zip(kept, places[1:], strict=True))


def lost_end(latest: receipt_pb2.Receipt) -> receipt_pb2.Receipt:
    """The END of a run that the runtime went down in; `latest` is the last that was said of it."""
    end = receipt_pb2.Receipt()
    end.CopyFrom(latest)
    end.type, end.status = receipt_pb2.RECEIPT_TYPE_END, receipt_pb2.RUN_STATUS_LOST
    if latest.type == receipt_pb2.RECEIPT_TYPE_START:
        end.output_digest = bytes(32)
    return end
