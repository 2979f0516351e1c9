"""The broker as the server sees it: another process, behind one socket. Satisfies `api.Broker`.

- A call that nobody waits for any more is stopped on the other side, too.
- A broker that is gone does not come back within this process: every call from then on is refused, and `lost` says so to whoever waits. So it
  is with one that sends what is no reply.
"""

import asyncio
import socket
from collections.abc import Sequence
from itertools import count
from typing import Any

from google.protobuf.message import DecodeError

from spin_runtime.broker import records
from spin_runtime.broker.api import (
    Attachment,
    BrokerError,
    BundleStored,
    LiveKernel,
    LogProof,
    Rejected,
    Run,
    RunEnd,
    Status,
    TrustStored,
)
from spin_runtime.broker.channel import MAX_MESSAGE, Channel
from spinapis.envelope.v1 import run_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import boundary_pb2 as b


class RemoteBroker:
    """Made by `connect`."""

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[b.BoundaryReply]] = {}
        self._closing, self._closed = False, asyncio.Event()
        self.lost = asyncio.Event()

    @classmethod
    async def connect(cls, end: socket.socket) -> "RemoteBroker":
        """Over this end of the socket pair whose other end the broker has."""
        broker = cls()
        broker._channel = Channel(broker._on_reply, broker._on_lost)
        await broker._channel.open(end)
        return broker

    async def status(self) -> Status:
        return records.status_of((await self._call(status=b.GetStatus())).status)

    # Pairing

    async def pairing_start(self) -> bytes:
        return (await self._call(pairing_start=b.StartPairing())).enrol_request

    async def pairing_finish(self, enrol_grant: bytes, root_documents: Sequence[bytes]) -> Status:
        call = b.FinishPairing(enrol_grant=enrol_grant, root_documents=root_documents)
        return records.status_of((await self._call(pairing_finish=call)).status)

    # Attach

    async def hello(
        self,
        capability: bytes,
        challenge: bytes,
        nonce_b: bytes,
        session_key: bytes,
        origin: str,
        root_documents: Sequence[bytes],
        trust_state: bytes,
    ) -> tuple[bytes, bytes]:
        call = b.MakeHello(
            capability=capability,
            challenge=challenge,
            nonce_b=nonce_b,
            session_key=session_key,
            origin=origin,
            root_documents=root_documents,
            trust_state=trust_state,
        )
        made = (await self._call(hello=call)).hello
        return made.hello, made.client

    async def attach(self, handle: bytes, client_auth: bytes) -> Attachment:
        call = b.FinishAttach(client=handle, client_auth=client_auth)
        return records.attachment_of((await self._call(attach=call)).attachment)

    async def detach(self, handle: bytes) -> None:
        await self._call(detach=b.Detach(client=handle))

    async def accept_trust(self, root_documents: Sequence[bytes], trust_state: bytes, log_proof: LogProof | None = None) -> TrustStored:
        call = b.AcceptTrust(root_documents=root_documents, trust_state=trust_state, log_proof=records.log_proof(log_proof))
        return records.trust_of((await self._call(accept_trust=call)).trust)

    async def wait_trust(self, known: trust_pb2.TrustPhase.ValueType) -> Status:
        return records.status_of((await self._call(wait_trust=b.WaitTrust(known=known))).status)

    # Kernels

    async def kernel_started(self, handle: bytes, kernel_name: str) -> LiveKernel:
        call = b.BeginKernel(client=handle, kernel_name=kernel_name)
        return records.kernel_of((await self._call(kernel_started=call)).kernel)

    async def kernel_ended(self, kernel_epoch: int, reason: str) -> None:
        await self._call(kernel_ended=b.EndKernel(kernel_epoch=kernel_epoch, reason=reason))

    # Runs

    async def open_sealed(self, sealed: bytes, handle: bytes) -> Run | Rejected | BundleStored:
        reply = await self._call(open_sealed=b.OpenSealed(sealed=sealed, client=handle))
        match reply.WhichOneof("result"):
            case "run":
                return records.run_of(reply.run)
            case "rejected":
                return records.rejected_of(reply.rejected)
            case _:
                return records.bundle_of(reply.bundle)

    async def run_started(self, nonce: run_pb2.RunNonce) -> None:
        await self._call(run_started=b.BeginRun(nonce=nonce))

    async def may_answer(self, handle: bytes, nonce: run_pb2.RunNonce) -> None:
        await self._call(may_answer=b.JudgeAnswer(client=handle, nonce=nonce))

    async def run_progress(self, nonce: run_pb2.RunNonce, frames: int, output_digest: bytes) -> None:
        await self._call(run_progress=b.ProgressRun(nonce=nonce, frames=frames, output_digest=output_digest))

    async def run_ended(self, end: RunEnd) -> None:
        await self._call(run_ended=records.end(end))

    # Receipts

    async def receipts_after(self, receipt_seq: int, limit: int) -> Sequence[tuple[int, bytes]]:
        reply = await self._call(receipts_after=b.ListReceipts(receipt_seq=receipt_seq, limit=limit))
        return [(numbered.receipt_seq, numbered.receipt) for numbered in reply.receipts.receipts]

    async def wait_receipts(self, receipt_seq: int) -> None:
        await self._call(wait_receipts=b.WaitReceipts(receipt_seq=receipt_seq))

    async def acknowledge(self, receipt_ack: bytes) -> None:
        await self._call(acknowledge=receipt_ack)

    async def close(self) -> None:
        """The broker's process ends when its server hangs up."""
        self._closing = True
        if self._channel is not None:
            self._channel.close()
            await self._closed.wait()

    # Inside

    async def _call(self, **call: Any) -> b.BoundaryReply:
        if self._channel is None or self._closed.is_set():
            raise _gone()
        number = next(self._ids)
        message = b.BoundaryRequest(id=number, **call).SerializeToString()
        if len(message) > MAX_MESSAGE:
            raise BrokerError(reasons_pb2.ERROR_REASON_TOO_LARGE, "The message is too large for the runtime: send at most 4 MiB.")
        waiter = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._channel.send(message)
        try:
            reply: b.BoundaryReply = await waiter
        except asyncio.CancelledError:
            self._channel.send(b.BoundaryRequest(id=number, cancel=True).SerializeToString())
            raise
        finally:
            del self._waiting[number]
        if reply.WhichOneof("result") == "failure":
            raise records.error_of(reply.failure)
        return reply

    def _on_reply(self, message: bytes) -> None:
        try:
            reply = b.BoundaryReply.FromString(message)
        except DecodeError:
            if self._channel is not None:
                self._channel.abort()
            return
        waiter = self._waiting.get(reply.id)
        if waiter is not None and not waiter.done():
            waiter.set_result(reply)

    def _on_lost(self) -> None:
        self._closed.set()
        if not self._closing:
            self.lost.set()
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(_gone())


def _gone() -> BrokerError:
    return BrokerError(
        reasons_pb2.ERROR_REASON_UNAVAILABLE, "The runtime's broker has ended: attach again when the runtime is back.", service="runtime"
    )
