"""An attached client: each frame that it may send, and what it does.

Frames are handled one after the other; after many refused programs the next one is read later. Requests to the kernel that only read
wait for their replies apart, so that an interrupt is never behind them.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from spin_runtime.broker.api import Attachment, Broker, BrokerError, BundleStored, LogProof, Rejected
from spin_runtime.kernels.api import Kernel, KernelPool
from spin_runtime.server import replies
from spin_runtime.server.feed import carry_receipts, follow
from spin_runtime.server.pace import Pace
from spin_runtime.server.wire import FrameSocket, Gone, violation
from spin_runtime.session import model as m
from spin_runtime.session.driver import Session
from spinapis.envelope.v1 import attach_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

READ_ONLY = frozenset({"kernel_info_request", "history_request", "is_complete_request", "comm_info_request"})
REQUESTS_AT_ONCE = 16
VIEW, RUN = attach_pb2.SCOPE_VIEW, attach_pb2.SCOPE_RUN
DRAINING = "The runtime is going down: attach again when it is back."

Frame = frames_pb2.ClientFrame
Handler = Callable[["Client", Frame], Awaitable[None]]


@dataclass(frozen=True)
class Services:
    """What a client's frames reach."""

    broker: Broker
    pool: KernelPool
    clock_ms: Callable[[], int]
    draining: Callable[[], bool]
    # The most that one message of a kernel may have.
    message_bytes: int


class Client:
    def __init__(self, socket: FrameSocket, attachment: Attachment, session: Session, services: Services) -> None:
        self._socket, self._attachment, self._session, self._services = socket, attachment, session, services
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None
        self._requests = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._pace = Pace(asyncio.get_running_loop().time)

    async def serve(self, left_s: float) -> None:
        """Until the client is gone, breaks the protocol, or its time is over. What it sent before that is still done."""
        until = asyncio.get_running_loop().time() + left_s
        self._spawn(carry_receipts, self._socket, self._services.broker)
        try:
            while True:
                async with asyncio.timeout_at(until):
                    frame = await self._socket.receive()
                await self._handle(frame)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _handle(self, frame: Frame) -> None:
        kind = frame.WhichOneof("body")
        if kind not in HANDLERS:
            raise violation(f"{kind} is for before the attachment.")
        scope, handler = HANDLERS[kind]
        if scope not in self._attachment.scopes:
            name = attach_pb2.Scope.Name(scope).removeprefix("SCOPE_").lower()
            text = (
                f"This connection may not do that: it was attached without the scope {name}. Ask the workspace's owner for a role that may run cells."
            )
            digest = hashlib.sha256(frame.sealed).digest() if kind == "sealed" else b""
            await self._socket.send_error(
                reasons_pb2.ERROR_REASON_SCOPE_MISSING, text, request_id=_request_id(frame), ciphertext_digest=digest, scope=name
            )
            return
        await handler(self, frame)

    def _spawn(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(self._quietly(work, *arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @staticmethod
    async def _quietly(work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """The reader of the socket notices a client that is gone; others need not say it."""
        with contextlib.suppress(Gone):
            await work(*arguments)

    async def _post(self, event: m.Event) -> None:
        await self._told(self._session.post(event))

    async def _told(self, refusal: m.Refuse | None) -> None:
        if refusal is not None:
            await self._socket.send_error(refusal.reason, refusal.message)

    # Programs, trust, receipts

    async def sealed(self, frame: Frame) -> None:
        digest = hashlib.sha256(frame.sealed).digest()
        if self._services.draining():
            await self._socket.send_error(reasons_pb2.ERROR_REASON_DRAINING, DRAINING, ciphertext_digest=digest)
            return
        try:
            opened = await self._session.open(frame.sealed, self._attachment, frame.traceparent)
        except BrokerError as error:
            await self._socket.refuse(error, ciphertext_digest=digest)
            await asyncio.sleep(self._pace.refused())
            return
        if isinstance(opened, Rejected):
            await asyncio.sleep(self._pace.refused())
        elif isinstance(opened, BundleStored):
            accepted = frames_pb2.BundleAccepted(bundle_version=opened.bundle_version, expires_at_ms=opened.expires_at_ms)
            await self._socket.send(frames_pb2.RuntimeFrame(bundle_accepted=accepted))

    async def trust_documents(self, frame: Frame) -> None:
        said = frame.trust_documents
        proof = None
        if said.HasField("log_proof"):
            proof = LogProof(said.log_proof.from_size, said.log_proof.note, tuple(said.log_proof.hashes))
        try:
            stored = await self._services.broker.accept_trust(list(said.root_documents), said.trust_state, proof)
        except BrokerError as error:
            await self._socket.refuse(error)
            return
        accepted = frames_pb2.TrustAccepted(
            root_version=stored.root_version, trust_version=stored.trust_version, expires_at_ms=stored.expires_at_ms, log_size=stored.log_size
        )
        accepted.trust_phase, accepted.runs_until_ms = stored.trust_phase, stored.runs_until_ms
        await self._socket.send(frames_pb2.RuntimeFrame(trust_accepted=accepted))

    async def receipt_ack(self, frame: Frame) -> None:
        try:
            await self._services.broker.acknowledge(frame.receipt_ack)
        except BrokerError as error:
            await self._socket.refuse(error)

    async def resume(self, frame: Frame) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait((self._following,))
        self._following = self._spawn(follow, self._socket, self._session.journal, frame.resume.position)

    # Kernels and runs

    async def start_kernel(self, frame: Frame) -> None:
        name = frame.start_kernel.kernel_name
        # The disk is asked for a named kernel alone.
        if name and name not in (installed := [spec.name for spec in self._services.pool.specs()]):
            text = f"No kernel named {name[:100]} is installed on this runtime. Installed: {', '.join(installed) or 'none'}."
            await self._socket.send_error(reasons_pb2.ERROR_REASON_KERNEL_UNKNOWN, text, kernel_name=name[:100], installed=",".join(installed))
            return
        await self._post(m.StartKernelWanted(name, self._services.clock_ms(), self._attachment))

    async def stop_kernel(self, _: Frame) -> None:
        await self._post(m.StopWanted("The kernel was stopped by a person. Start it again to go on; its variables are gone."))

    async def restart_kernel(self, _: Frame) -> None:
        await self._post(m.RestartWanted(self._services.clock_ms(), self._attachment))

    async def interrupt(self, frame: Frame) -> None:
        await self._post(m.InterruptWanted(self._services.clock_ms(), frame.interrupt.clear_queue))

    async def cancel_queued(self, frame: Frame) -> None:
        await self._post(m.CancelWanted(frame.cancel_queued.nonce))

    async def input_reply(self, frame: Frame) -> None:
        said = frame.input_reply
        try:
            refusal = await self._session.answer(said.request_id, said.value, self._attachment)
        except BrokerError as error:
            await self._socket.refuse(error)
            return
        await self._told(refusal)

    # Requests that only read

    async def complete(self, frame: Frame) -> None:
        said = frame.complete

        async def ask(kernel: Kernel) -> frames_pb2.RuntimeFrame:
            return replies.completion(said.request_id, await kernel.complete(said.code, said.cursor), self._services.message_bytes)

        await self._ask(said.request_id, ask)

    async def inspect(self, frame: Frame) -> None:
        said = frame.inspect

        async def ask(kernel: Kernel) -> frames_pb2.RuntimeFrame:
            content = await kernel.inspect(said.code, said.cursor, said.detail_level)
            return replies.inspection(said.request_id, content, self._services.message_bytes)

        await self._ask(said.request_id, ask)

    async def kernel_request(self, frame: Frame) -> None:
        said = frame.kernel_request
        if said.msg_type not in READ_ONLY or not _is_json_object(said.content_json):
            text = f"A kernel request is one of {', '.join(sorted(READ_ONLY))}, with a JSON object as its content."
            await self._socket.send_error(reasons_pb2.ERROR_REASON_INVALID_ARGUMENT, text, request_id=said.request_id, field="msg_type")
            return

        async def ask(kernel: Kernel) -> frames_pb2.RuntimeFrame:
            msg_type, content = await kernel.request(said.msg_type, said.content_json or b"{}")
            return replies.kernel_reply(said.request_id, msg_type, content, self._services.message_bytes)

        await self._ask(said.request_id, ask)

    async def _ask(self, request_id: int, ask: Callable[[Kernel], Awaitable[frames_pb2.RuntimeFrame]]) -> None:
        kernel = self._session.kernel
        if kernel is None:
            await self._socket.send_error(reasons_pb2.ERROR_REASON_KERNEL_FAILED, "No kernel runs in this session: start one.", request_id=request_id)
            return
        await self._requests.acquire()
        self._spawn(self._answered, request_id, ask, kernel)

    async def _answered(self, request_id: int, ask: Callable[[Kernel], Awaitable[frames_pb2.RuntimeFrame]], kernel: Kernel) -> None:
        try:
            await self._socket.send(await ask(kernel))
        except replies.ReplyRefused as refused:
            error = BrokerError(refused.reason, refused.text, **refused.metadata)
            await self._socket.refuse(error, request_id=request_id)
        except TimeoutError:
            text = "The kernel did not answer in time: it is busy with a cell. Ask again when that is done."
            await self._socket.send_error(reasons_pb2.ERROR_REASON_UNAVAILABLE, text, request_id=request_id, service="kernel")
        except asyncio.CancelledError:
            if kernel.alive:
                raise
            await self._socket.send_error(reasons_pb2.ERROR_REASON_KERNEL_FAILED, "The kernel ended before it answered.", request_id=request_id)
        finally:
            self._requests.release()


def _is_json_object(content: bytes) -> bool:
    try:
        return isinstance(orjson.loads(content or b"{}"), dict)
    except ValueError:
        return False


def _request_id(frame: Frame) -> int:
    body = getattr(frame, frame.WhichOneof("body") or "", None)
    request_id = getattr(body, "request_id", 0)
    return request_id if isinstance(request_id, int) else 0


HANDLERS: dict[str, tuple[attach_pb2.Scope.ValueType, Handler]] = {
    "sealed": (RUN, Client.sealed),
    "trust_documents": (VIEW, Client.trust_documents),
    "receipt_ack": (VIEW, Client.receipt_ack),
    "resume": (VIEW, Client.resume),
    "start_kernel": (RUN, Client.start_kernel),
    "stop_kernel": (RUN, Client.stop_kernel),
    "restart_kernel": (RUN, Client.restart_kernel),
    "interrupt": (RUN, Client.interrupt),
    "cancel_queued": (RUN, Client.cancel_queued),
    "input_reply": (RUN, Client.input_reply),
    "complete": (RUN, Client.complete),
    "inspect": (RUN, Client.inspect),
    "kernel_request": (RUN, Client.kernel_request),
}
