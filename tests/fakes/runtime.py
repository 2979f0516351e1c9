"""A runtime in one process: the real socket, handshake, sealing and receipts; instead of a kernel, Python's own `exec` with captured output.

Tests can cut its connections, leave frames out, reboot it, and look at what clients sent.
"""

import asyncio
import contextlib
import hashlib
import io
import json
import secrets
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from spin_envelope.chain import OutputChain
from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.pairing import SpinToken
from spin_envelope.sealing import RecipientKey, Suite, open_sealed
from spin_envelope.signing import sign, unverified, verify
from spinapis.envelope.v1 import attach_pb2, enrol_pb2, receipt_pb2, run_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.documents import now_ms


class FakeRuntime:
    def __init__(self) -> None:
        self.identity = SigningKey.generate()
        self.token: SpinToken | None = None
        self.workspace_id = b""
        self.runtime_id = b""
        self.stream: list[f.RuntimeFrame] = []
        self.sockets: dict[web.WebSocketResponse, int] = {}
        self.acks: list[receipt_pb2.ReceiptAck] = []
        self.received: list[f.ClientFrame] = []
        self.receipts: list[bytes] = []
        self.chain: dict[int, OutputChain] = {}
        self.inputs: asyncio.Queue[str] = asyncio.Queue()
        self.running: asyncio.Task[None] | None = None
        self.waiting: asyncio.Queue[run_pb2.Program] = asyncio.Queue()
        # Faults that a test asks for.
        self.drop_next_sealed = False
        self.drop_next_input = False
        self.refuse_next_input = False
        # The note of the log that it holds.
        self.checkpoint = b""
        self.reject_next: reasons_pb2.ErrorReason.ValueType | None = None
        self.impostor = False
        self.last_error: dict[str, Any] = {}
        self.port = 0
        self.boot()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(self.identity.public).digest()

    def boot(self) -> None:
        """A new boot: new keys, no kernel, an empty stream."""
        self.boot_id = secrets.token_bytes(16)
        self.hpke = RecipientKey.generate(Suite(2))
        self.kernel = f.KernelState(phase=f.KERNEL_PHASE_NONE)
        self.epoch = 0
        self.stream = []
        self.namespace: dict[str, Any] = {}

    async def cut(self) -> None:
        """Drops every connection, as a network does."""
        for socket in list(self.sockets):
            self.sockets.pop(socket, None)
            if socket._req is not None and socket._req.transport is not None:
                socket._req.transport.abort()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeRuntime"]:
        application = web.Application()
        application.router.add_get("/spin/v1/ws", self._socket)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "localhost", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        worker = asyncio.create_task(self._work())
        try:
            yield self
        finally:
            worker.cancel()
            await self.cut()
            await runner.cleanup()

    # -- the socket

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("spin.v1",), max_msg_size=32 << 20)
        await socket.prepare(request)
        session = b""
        async for message in socket:
            if message.type is not WSMsgType.BINARY:
                break
            frame = f.ClientFrame.FromString(message.data)
            self.received.append(frame)
            match frame.WhichOneof("body"):
                case "pairing_start":
                    await self._send(socket, f.RuntimeFrame(enrol_request=self._enrol_request()))
                case "pairing_finish":
                    await self._pair(socket, frame.pairing_finish)
                case "client_hello":
                    hello = self._hello(frame.client_hello)
                    session_key = VerifyKey(frame.client_hello.session_key)
                    await self._send(socket, f.RuntimeFrame(hello=hello))
                case "client_auth":
                    auth = verify(frame.client_auth.auth, attach_pb2.ClientAuth, [session_key]).message
                    assert auth.hello_digest == signed_digest(hello)
                    session = unverified(hello, attach_pb2.Hello).session_id
                    await self._attached(socket)
                case "resume":
                    await self._resume(socket, frame.resume.position)
                case _:
                    assert session, "a frame before the handshake"
                    await self._command(socket, frame)
        self.sockets.pop(socket, None)
        return socket

    async def _command(self, socket: web.WebSocketResponse, frame: f.ClientFrame) -> None:
        match frame.WhichOneof("body"):
            case "sealed":
                await self._sealed(socket, frame.sealed)
            case "start_kernel" | "restart_kernel":
                await self._start_kernel(socket, frame)
            case "stop_kernel":
                self.kernel = f.KernelState(phase=f.KERNEL_PHASE_STOPPED)
                await self.emit(f.RuntimeFrame(kernel_state=self.kernel))
            case "interrupt":
                if self.running is not None:
                    self.running.cancel()
            case "input_reply":
                await self._input(socket, frame.input_reply.value)
            case "receipt_ack":
                self.acks.append(unverified(frame.receipt_ack, receipt_pb2.ReceiptAck))
            case "complete":
                reply = f.CompleteReply(request_id=frame.complete.request_id, matches=["print"], cursor_start=0, cursor_end=frame.complete.cursor)
                await self._send(socket, f.RuntimeFrame(complete_reply=reply))
            case "inspect":
                data = json.dumps({"text/plain": f"about {frame.inspect.code}"}).encode()
                await self._send(
                    socket, f.RuntimeFrame(inspect_reply=f.InspectReply(request_id=frame.inspect.request_id, found=True, data_json=data))
                )
            case "kernel_request":
                request = frame.kernel_request
                language = {"name": "python", "version": "3", "mimetype": "text/x-python", "file_extension": ".py"}
                content = json.dumps(
                    {"status": "ok", "protocol_version": "5.3", "language_info": language, "asked": json.loads(request.content_json)}
                ).encode()
                answer = f.KernelReply(request_id=request.request_id, msg_type=request.msg_type.replace("request", "reply"), content_json=content)
                await self._send(socket, f.RuntimeFrame(kernel_reply=answer))

    async def _input(self, socket: web.WebSocketResponse, value: str) -> None:
        if self.refuse_next_input:
            error = f.Error(reason=reasons_pb2.ERROR_REASON_INPUT_REFUSED, message="Whoever ran this cell answers what it asks.")
            await self._send(socket, f.RuntimeFrame(error=error))
        elif not self.drop_next_input:
            self.inputs.put_nowait(value)
        self.drop_next_input = self.refuse_next_input = False

    async def _send(self, socket: web.WebSocketResponse, frame: f.RuntimeFrame) -> None:
        with contextlib.suppress(ConnectionError):
            await socket.send_bytes(frame.SerializeToString())

    async def emit(self, frame: f.RuntimeFrame) -> None:
        """Writes a frame to the session's stream and sends it to everybody who follows."""
        frame.position = len(self.stream) + 1
        self.stream.append(frame)
        for socket in [s for s, sent in self.sockets.items() if sent == frame.position - 1]:
            self.sockets[socket] = frame.position
            await self._send(socket, frame)

    # -- pairing and attaching

    def _enrol_request(self) -> bytes:
        assert self.token is not None, "the test gives the runtime its token"
        request = enrol_pb2.EnrolRequest(
            workspace_id=self.token.workspace_id,
            pairing_id=self.token.pairing_id,
            identity_key=self.identity.public,
            nonce=secrets.token_bytes(32),
            suites=[2],
        )
        return sign(request, self.identity, self.token.pairing_key())

    async def _pair(self, socket: web.WebSocketResponse, finish: f.PairingFinish) -> None:
        assert self.token is not None
        assert signed_digest(finish.root_documents[0]) == self.token.root_digest
        grant = unverified(finish.enrol_grant, enrol_pb2.EnrolGrant)
        self.workspace_id, self.runtime_id = grant.workspace_id, grant.runtime_id
        paired = f.Paired(workspace_id=self.workspace_id, runtime_id=self.runtime_id, fingerprint=self.fingerprint)
        await self._send(socket, f.RuntimeFrame(paired=paired))

    def _hello(self, said: f.ClientHello) -> bytes:
        capability = unverified(said.capability, attach_pb2.CapabilityToken)
        assert hashlib.sha256(said.session_key).digest() == capability.cnf
        hello = attach_pb2.Hello(
            workspace_id=self.workspace_id,
            runtime_id=self.runtime_id,
            boot_id=self.boot_id,
            boot_hpke_key=self.hpke.public,
            challenge_digest=signed_digest(said.challenge),
            nonce_b=said.nonce_b,
            nonce_r=secrets.token_bytes(32),
            clock_ms=now_ms(),
            session_id=capability.session_id,
            checkpoint=self.checkpoint,
        )
        return sign(hello, SigningKey.generate() if self.impostor else self.identity)

    async def _attached(self, socket: web.WebSocketResponse) -> None:
        attached = f.Attached(
            boot_id=self.boot_id,
            first_position=1 if self.stream else 0,
            last_position=len(self.stream),
            kernel=self.kernel,
            kernels=[f.KernelSpec(name="python3", display_name="Python 3", language="python")],
            warnings=["Outbound TLS is not verified."],
            trust_expires_at_ms=now_ms() + 86_400_000,
        )
        await self._send(socket, f.RuntimeFrame(attached=attached))
        await self._send_receipts(socket)

    async def _resume(self, socket: web.WebSocketResponse, position: int) -> None:
        for frame in self.stream[position:]:
            await self._send(socket, frame)
        self.sockets[socket] = len(self.stream)
        await self._send(socket, f.RuntimeFrame(resumed=f.Resumed(position=len(self.stream))))

    async def _start_kernel(self, socket: web.WebSocketResponse, frame: f.ClientFrame) -> None:
        name = frame.start_kernel.kernel_name or "python3"
        if name != "python3":
            text = f"no kernel {name!r} is installed; installed: python3"
            await self._send(socket, f.RuntimeFrame(error=f.Error(reason=reasons_pb2.ERROR_REASON_KERNEL_UNKNOWN, message=text)))
            return
        if frame.HasField("restart_kernel") or self.kernel.phase != f.KERNEL_PHASE_IDLE:
            self.epoch += 1
            self.namespace = {}
        self.kernel = f.KernelState(phase=f.KERNEL_PHASE_IDLE, kernel_name="python3", kernel_epoch=self.epoch, language="python")
        await self.emit(f.RuntimeFrame(kernel_state=self.kernel))

    # -- runs

    async def _sealed(self, socket: web.WebSocketResponse, data: bytes) -> None:
        if self.drop_next_sealed:
            self.drop_next_sealed = False
            return
        opened = open_sealed(data, self.hpke, workspace_id=self.workspace_id, runtime_id=self.runtime_id, boot_id=self.boot_id, min_suite=2)
        program = unverified(opened.signed, run_pb2.Program)
        if self.reject_next is not None:
            reason, self.reject_next = self.reject_next, None
            await self._state(program, f.RUN_PHASE_REJECTED, reason=reason, message="refused by the test")
            await self._receipt(receipt_pb2.RECEIPT_TYPE_REJECT, program)
            return
        await self._state(program, f.RUN_PHASE_QUEUED)
        self.waiting.put_nowait(program)

    async def _work(self) -> None:
        while True:
            program = await self.waiting.get()
            self.running = asyncio.create_task(self._run(program))
            await asyncio.wait([self.running])
            self.running = None

    async def _run(self, program: run_pb2.Program) -> None:
        self.chain[program.nonce.seq] = OutputChain()
        await self._receipt(receipt_pb2.RECEIPT_TYPE_START, program)
        await self._state(program, f.RUN_PHASE_RUNNING)
        await self.output(program, f.OUTPUT_KIND_STATUS, {"execution_state": "busy"})
        await self.output(program, f.OUTPUT_KIND_EXECUTE_INPUT, {"code": program.code, "execution_count": program.nonce.seq})
        try:
            status = await self._execute(program)
        except asyncio.CancelledError:
            status = receipt_pb2.RUN_STATUS_INTERRUPTED
            self.last_error = {"ename": "KeyboardInterrupt", "evalue": "", "traceback": ["KeyboardInterrupt"]}
            await self.output(program, f.OUTPUT_KIND_ERROR, self.last_error)
        reply = {"status": "ok", "execution_count": program.nonce.seq}
        if status != receipt_pb2.RUN_STATUS_OK:
            reply |= {"status": "error", **self.last_error}
        await self.output(program, f.OUTPUT_KIND_EXECUTE_REPLY, reply)
        await self.output(program, f.OUTPUT_KIND_STATUS, {"execution_state": "idle"})
        await self._receipt(receipt_pb2.RECEIPT_TYPE_END, program, status)
        await self._state(program, f.RUN_PHASE_ENDED, status=status)

    async def _execute(self, program: run_pb2.Program) -> receipt_pb2.RunStatus.ValueType:
        """The code may be a coroutine's body: `await display(...)`, `await ask(...)`, `await pause(...)`."""
        printed = io.StringIO()

        async def display(content: dict[str, Any], kind: int = f.OUTPUT_KIND_DISPLAY_DATA) -> None:
            await self.output(program, kind, content)

        async def ask(prompt: str) -> str:
            await self.emit(f.RuntimeFrame(input_request=f.InputRequest(nonce=program.nonce, prompt=prompt, request_id="ask-1")))
            return await self.inputs.get()

        async def show(text: str) -> None:
            await self.output(program, f.OUTPUT_KIND_STREAM, {"name": "stdout", "text": text})

        self.namespace.update(display=display, ask=ask, pause=asyncio.sleep, show=show)
        try:
            code = compile(program.code, "<cell>", "exec", flags=__import__("ast").PyCF_ALLOW_TOP_LEVEL_AWAIT)
            with contextlib.redirect_stdout(printed):
                result = eval(code, self.namespace)
                if asyncio.iscoroutine(result):
                    await result
        except Exception as fault:
            await self._print(program, printed)
            self.last_error = {"ename": type(fault).__name__, "evalue": str(fault), "traceback": traceback.format_exception(fault)}
            await self.output(program, f.OUTPUT_KIND_ERROR, self.last_error)
            return receipt_pb2.RUN_STATUS_ERROR
        await self._print(program, printed)
        return receipt_pb2.RUN_STATUS_OK

    async def _print(self, program: run_pb2.Program, printed: io.StringIO) -> None:
        if printed.getvalue():
            await self.output(program, f.OUTPUT_KIND_STREAM, {"name": "stdout", "text": printed.getvalue()})

    async def output(self, program: run_pb2.Program, kind: int, content: dict[str, Any]) -> None:
        body = f.OutputBody(content=json.dumps(content).encode(), metadata=b"{}").SerializeToString()
        chain = self.chain[program.nonce.seq]
        chain.append(kind, body)
        output = f.Output(index=chain.frames, kind=kind, body=body)
        await self.emit(f.RuntimeFrame(outputs=f.OutputBatch(nonce=program.nonce, cell_id=program.cell_id, outputs=[output])))

    async def _state(self, program: run_pb2.Program, phase: int, **fields: Any) -> None:
        state = f.RunState(nonce=program.nonce, cell_id=program.cell_id, phase=phase, time_ms=now_ms(), **fields)
        await self.emit(f.RuntimeFrame(run_state=state))

    async def _receipt(self, kind: int, program: run_pb2.Program, status: int = 0) -> None:
        chain = self.chain.get(program.nonce.seq, OutputChain())
        receipt = receipt_pb2.Receipt(
            workspace_id=self.workspace_id,
            runtime_id=self.runtime_id,
            receipt_seq=len(self.receipts) + 1,
            prev_digest=signed_digest(self.receipts[-1]) if self.receipts else bytes(32),
            boot_id=self.boot_id,
            type=kind,
            nonce=program.nonce,
            frames=chain.frames,
            output_digest=chain.digest,
            status=status,
            time_ms=now_ms(),
        )
        self.receipts.append(sign(receipt, self.identity))
        for socket in list(self.sockets):
            await self._send_receipts(socket)

    async def _send_receipts(self, socket: web.WebSocketResponse) -> None:
        acknowledged = max((ack.up_to_seq for ack in self.acks), default=0)
        if self.receipts[acknowledged:]:
            await self._send(socket, f.RuntimeFrame(receipts=f.ReceiptBatch(receipts=self.receipts[acknowledged:])))
