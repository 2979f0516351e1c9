"""The broker's end of the boundary: calls of the server, each answered once.

- Calls run beside each other. What they hold of the broker's memory is bounded: beyond that, nothing more is read until some are done.
- A server that does not read its answers gets no others: a call is done when its answer is on its way, and lists of receipts are made one by one.
- What is no call ends the connection, and with it the broker: the server is another process, and may be in an attacker's hands.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from spin_runtime.broker import records
from spin_runtime.broker.api import Broker, BrokerError, BundleStored, Rejected, Run
from spin_runtime.broker.channel import MAX_MESSAGE, Channel
from spin_runtime.broker.refusals import log
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import boundary_pb2 as b

HELD_BYTES = 32 << 20
CALLS_AT_ONCE = 1 << 16
# A list of receipts stays well below the limit of a message.
RECEIPT_BYTES = MAX_MESSAGE // 2
INTERNAL = "The runtime's broker failed; its log says why."

Answer = dict[str, Any]
DONE: Answer = {"done": True}


class Boundary:
    """Made by `serve`; `ended` is set when the server has gone."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._channel: Channel | None = None
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._held = 0
        self._listing = asyncio.Lock()
        self.ended = asyncio.Event()

    @classmethod
    async def serve(cls, broker: Broker, end: socket.socket) -> "Boundary":
        boundary = cls(broker)
        boundary._channel = Channel(boundary._on_request, boundary._on_lost)
        await boundary._channel.open(end)
        return boundary

    def _on_request(self, message: bytes) -> None:
        assert self._channel is not None
        try:
            request = b.BoundaryRequest.FromString(message)
        except DecodeError:
            request = b.BoundaryRequest()
        call = request.WhichOneof("call")
        if call == "cancel":
            if (task := self._calls.get(request.id)) is not None:
                task.cancel()
            return
        if call is None or request.id in self._calls or len(self._calls) >= CALLS_AT_ONCE:
            log.error("boundary_violated")
            self._channel.abort()
            return
        self._hold(len(message))
        task = self._calls[request.id] = asyncio.create_task(self._answer(request, call))
        task.add_done_callback(lambda _: self._done(request.id, len(message)))

    async def _answer(self, request: b.BoundaryRequest, call: str) -> None:
        if call == "receipts_after":
            async with self._listing:
                await self._answered(request, call)
        else:
            await self._answered(request, call)

    async def _answered(self, request: b.BoundaryRequest, call: str) -> None:
        try:
            result = await ANSWERS[call](self._broker, getattr(request, call))
        except BrokerError as error:
            result = {"failure": records.failure(error)}
        except Exception:
            log.exception("call_failed", call=call)
            result = {"failure": records.failure(BrokerError(reasons_pb2.ERROR_REASON_INTERNAL, INTERNAL))}
        if self._channel is not None:
            self._channel.send(b.BoundaryReply(id=request.id, **result).SerializeToString())
            await asyncio.sleep(0)  # until what was sent in this turn has left
            if self._channel is not None:
                await self._channel.drained()

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > HELD_BYTES and self._channel is not None:
            self._channel.pause()

    def _done(self, number: int, size: int) -> None:
        del self._calls[number]
        if self._held > HELD_BYTES >= self._held - size and self._channel is not None:
            self._channel.resume()
        self._held -= size

    def _on_lost(self) -> None:
        self._channel = None
        for task in self._calls.values():
            task.cancel()
        self.ended.set()


async def _status(broker: Broker, _: b.GetStatus) -> Answer:
    return {"status": records.status(await broker.status())}


async def _pairing_start(broker: Broker, _: b.StartPairing) -> Answer:
    return {"enrol_request": await broker.pairing_start()}


async def _pairing_finish(broker: Broker, call: b.FinishPairing) -> Answer:
    return {"status": records.status(await broker.pairing_finish(call.enrol_grant, list(call.root_documents)))}


async def _hello(broker: Broker, call: b.MakeHello) -> Answer:
    hello, handle = await broker.hello(
        call.capability, call.challenge, call.nonce_b, call.session_key, call.origin, list(call.root_documents), call.trust_state
    )
    return {"hello": b.MadeHello(hello=hello, client=handle)}


async def _attach(broker: Broker, call: b.FinishAttach) -> Answer:
    return {"attachment": records.attachment(await broker.attach(call.client, call.client_auth))}


async def _detach(broker: Broker, call: b.Detach) -> Answer:
    await broker.detach(call.client)
    return DONE


async def _accept_trust(broker: Broker, call: b.AcceptTrust) -> Answer:
    return {"trust": records.trust(await broker.accept_trust(list(call.root_documents), call.trust_state, records.log_proof_of(call)))}


async def _wait_trust(broker: Broker, call: b.WaitTrust) -> Answer:
    return {"status": records.status(await broker.wait_trust(call.known))}


async def _kernel_started(broker: Broker, call: b.BeginKernel) -> Answer:
    return {"kernel": records.kernel(await broker.kernel_started(call.client, call.kernel_name))}


async def _kernel_ended(broker: Broker, call: b.EndKernel) -> Answer:
    await broker.kernel_ended(call.kernel_epoch, call.reason)
    return DONE


async def _open_sealed(broker: Broker, call: b.OpenSealed) -> Answer:
    match await broker.open_sealed(call.sealed, call.client):
        case Run() as run:
            return {"run": records.run(run)}
        case Rejected() as rejected:
            return {"rejected": records.rejected(rejected)}
        case BundleStored() as bundle:
            return {"bundle": records.bundle(bundle)}


async def _run_started(broker: Broker, call: b.BeginRun) -> Answer:
    await broker.run_started(call.nonce)
    return DONE


async def _may_answer(broker: Broker, call: b.JudgeAnswer) -> Answer:
    await broker.may_answer(call.client, call.nonce)
    return DONE


async def _run_progress(broker: Broker, call: b.ProgressRun) -> Answer:
    await broker.run_progress(call.nonce, call.frames, call.output_digest)
    return DONE


async def _run_ended(broker: Broker, call: b.EndRun) -> Answer:
    await broker.run_ended(records.end_of(call))
    return DONE


async def _receipts_after(broker: Broker, call: b.ListReceipts) -> Answer:
    return {"receipts": _that_fit(await broker.receipts_after(call.receipt_seq, call.limit))}


def _that_fit(receipts: Sequence[tuple[int, bytes]]) -> b.ReceiptList:
    """The first of them, at least one."""
    fitting, size = b.ReceiptList(), 0
    for seq, receipt in receipts:
        size += len(receipt)
        if fitting.receipts and size > RECEIPT_BYTES:
            break
        fitting.receipts.add(receipt_seq=seq, receipt=receipt)
    return fitting


async def _wait_receipts(broker: Broker, call: b.WaitReceipts) -> Answer:
    await broker.wait_receipts(call.receipt_seq)
    return DONE


async def _acknowledge(broker: Broker, call: bytes) -> Answer:
    await broker.acknowledge(call)
    return DONE


ANSWERS: dict[str, Callable[[Broker, Any], Awaitable[Answer]]] = {
    "status": _status,
    "pairing_start": _pairing_start,
    "pairing_finish": _pairing_finish,
    "hello": _hello,
    "attach": _attach,
    "detach": _detach,
    "accept_trust": _accept_trust,
    "wait_trust": _wait_trust,
    "kernel_started": _kernel_started,
    "kernel_ended": _kernel_ended,
    "open_sealed": _open_sealed,
    "run_started": _run_started,
    "may_answer": _may_answer,
    "run_progress": _run_progress,
    "run_ended": _run_ended,
    "receipts_after": _receipts_after,
    "wait_receipts": _wait_receipts,
    "acknowledge": _acknowledge,
}
