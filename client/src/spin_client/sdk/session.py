"""A notebook's session on a runtime: run cells, talk to the kernel, and carry what the protocol asks a client to carry.

One task reads the stream and hands everything on; beside it work the carriers (receipts and outputs to audit) and what keeps the runtime's
documents fresh. When the stream ends for good, every wait ends with the same error.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Unpack

from spin_client.sdk.answers import Answers
from spin_client.sdk.carriers import OutputCarrier, ReceiptCarrier
from spin_client.sdk.compilation import Compilation, RunFlags
from spin_client.sdk.errors import SpinError, from_frame
from spin_client.sdk.events import Event, InputRequest, Phase, RunKey, RunState, Status, output_of, run_key, state_of
from spin_client.sdk.kernel_link import READY, KernelWatch, Requests
from spin_client.sdk.platform import Platform
from spin_client.sdk.run import Run
from spin_client.sdk.socket import Reattached, RuntimeSocket, SessionAddress
from spin_client.sdk.standing import Standing, mendable
from spin_client.sdk.wire import ConnectionLost
from spinapis.envelope.v1 import run_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2

log = logging.getLogger("spin_client")

SETTLE_S = 15.0
_RESEND_S = 0.1

Watcher = Callable[[RunKey | None, Event], None]


class RuntimeSession:
    """Open one with `RuntimeSession.open` or `.attach`; close it, or use it as an async context manager."""

    def __init__(self, platform: Platform, session: notebooks_pb2.Session, runtime: workspaces_pb2.Runtime, *, from_start: bool = False) -> None:
        self.platform = platform
        self.session = session
        address = SessionAddress(session.workspace_id, session.id, session.notebook_id, session.runtime_id, runtime.url, runtime.workspace_id)
        self._socket = RuntimeSocket(platform, address, from_start=from_start)
        self._receipts = ReceiptCarrier(platform, session.workspace_id, session.runtime_id, self._send)
        self._outputs = OutputCarrier(platform, session.workspace_id, session.runtime_id)
        self._requests = Requests(self._send)
        self._answers = Answers(self._send)
        self._kernel = KernelWatch()
        self._standing = Standing(platform, session, self._socket, self._send)
        self._compilation = Compilation(platform, session, self._standing, self._kernel)
        self._runs: dict[RunKey, Run] = {}
        self._started: list[RunKey] = []
        self._watchers: list[Watcher] = []
        self._kernel_known_at = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._boot_changed = False
        self.warnings: tuple[str, ...] = ()
        self.kernels: tuple[frames_pb2.KernelSpec, ...] = ()

    @classmethod
    async def open(cls, platform: Platform, workspace_id: str, notebook_id: str, *, runtime_id: str = "", kernel_name: str = "") -> "RuntimeSession":
        """The notebook's open session on the runtime, or a new one. Empty runtime_id: the workspace's default runtime."""
        request = notebooks_pb2.OpenSessionRequest(workspace_id=workspace_id, notebook_id=notebook_id, runtime_id=runtime_id, kernel_name=kernel_name)
        session = (await platform.sessions.OpenSession(request)).session
        return await cls.of(platform, session)

    @classmethod
    async def attach(cls, platform: Platform, workspace_id: str, session_id: str, *, from_start: bool = True) -> "RuntimeSession":
        """A session that exists, with its stream from the start: what a second browser does."""
        request = notebooks_pb2.GetSessionRequest(workspace_id=workspace_id, session_id=session_id)
        return await cls.of(platform, (await platform.sessions.GetSession(request)).session, from_start=from_start)

    @classmethod
    async def of(cls, platform: Platform, session: notebooks_pb2.Session, *, from_start: bool = False) -> "RuntimeSession":
        request = workspaces_pb2.GetRuntimeRequest(workspace_id=session.workspace_id, runtime_id=session.runtime_id)
        runtime = (await platform.runtimes.GetRuntime(request)).runtime
        self = cls(platform, session, runtime, from_start=from_start)
        self._tasks = [asyncio.create_task(job) for job in (self._pump(), self._receipts.run(), self._outputs.run(), self._standing.keep())]
        try:
            await self._standing.attachment()
        except BaseException:
            await self._stop()
            raise
        return self

    # -- the kernel

    @property
    def kernel(self) -> frames_pb2.KernelState:
        return self._kernel.state

    @property
    def has_kernel(self) -> bool:
        """True when the session's kernel is up."""
        return self._kernel.ready

    async def start_kernel(self, kernel_name: str = "") -> frames_pb2.KernelState:
        """Returns at once when one runs already under that name (or under any, when none is given)."""
        wanted = kernel_name or self.session.kernel_name
        if self._kernel.ready and wanted in ("", self._kernel.state.kernel_name):
            return self._kernel.state
        frame = frames_pb2.ClientFrame(start_kernel=frames_pb2.StartKernel(kernel_name=wanted))
        return await self._kernel.wait(lambda s: s.phase in READY and wanted in ("", s.kernel_name), frame, self._send)

    async def restart(self) -> frames_pb2.KernelState:
        """A new kernel in the old one's place; returns when it is ready."""
        before = self._kernel.state.kernel_epoch
        frame = frames_pb2.ClientFrame(restart_kernel=frames_pb2.RestartKernel())
        return await self._kernel.wait(lambda s: s.phase in READY and s.kernel_epoch > before, frame, self._send)

    async def stop_kernel(self) -> None:
        if not self._kernel.ready:
            return
        frame = frames_pb2.ClientFrame(stop_kernel=frames_pb2.StopKernel())
        await self._kernel.wait(lambda s: s.phase not in READY, frame, self._send)

    async def interrupt(self, *, clear_queue: bool = False) -> None:
        await self._send(frames_pb2.ClientFrame(interrupt=frames_pb2.Interrupt(clear_queue=clear_queue)))

    async def cancel_queued(self, run: Run) -> None:
        await self._send(frames_pb2.ClientFrame(cancel_queued=frames_pb2.CancelQueued(nonce=run.nonce)))

    async def reply(self, request: InputRequest, value: str) -> None:
        """Answers the code's request for a line, of a run of one's own: the runtime takes it from nobody else (INPUT_REFUSED).

        One that is lost on the way is sent again over the next attachment.
        """
        await self._answers.give(request, value)

    async def complete(self, code: str, cursor: int) -> frames_pb2.CompleteReply:
        return await self._requests.complete(code, cursor)

    async def inspect(self, code: str, cursor: int, detail_level: int = 0) -> frames_pb2.InspectReply:
        return await self._requests.inspect(code, cursor, detail_level)

    async def kernel_request(self, msg_type: str, content: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """A Jupyter request that only reads; returns the reply's type and content."""
        return await self._requests.kernel_request(msg_type, content)

    # -- runs

    async def run(self, cell: notebooks_pb2.Cell, **flags: Unpack[RunFlags]) -> AsyncIterator[Event]:
        """Compiles and runs a cell; yields its events, the last one a final `RunState`. Flags: see `RunFlags`.

        A program that is refused because a document of the runtime's was too old is sent once more with a fresh one.
        """
        run = await self.start(cell, **flags)
        retried = False
        while True:
            again = False
            async with run:
                async for event in run:
                    again = not retried and mendable(event)
                    if not again:
                        yield event
            if not again:
                return
            retried = True
            await self._standing.mend(run.final.reason if run.final else "")
            run = await self.start(cell, **flags)

    async def start(self, cell: notebooks_pb2.Cell, **flags: Unpack[RunFlags]) -> Run:
        """Compiles a cell, sends the sealed program, and returns the run to iterate. Starts the kernel where none runs."""
        run = await self.prepare(cell, **flags)
        await self.submit(run)
        return run

    async def prepare(self, cell: notebooks_pb2.Cell, **flags: Unpack[RunFlags]) -> Run:
        """Compiles and seals alone; what comes of it lives for five minutes. Starts the kernel where none runs."""
        await self.start_kernel()
        return await self._compilation.compiled(cell, **flags)

    async def submit(self, run: Run) -> None:
        """Sends a prepared run, once."""
        self._runs[run.key] = run
        self._started.append(run.key)
        await self._send_program(run)

    def watch(self, watcher: Watcher) -> None:
        """Called with every event of the session's stream, also of other clients' runs; the key is None for events of no run."""
        self._watchers.append(watcher)

    async def settle(self, timeout: float = SETTLE_S) -> bool:
        """Waits until audit holds the outputs and the end receipts of the runs that were started here. False when time ran out."""
        ended = [key for key in self._started if key not in self._runs]
        try:
            with self._outputs.pace.hurried(), self._receipts.pace.hurried():
                async with asyncio.timeout(timeout):
                    await self._outputs.drained()
                    await self._receipts.wait_ended(self.session.id, ended)
        except TimeoutError:
            return False
        self._started = [key for key in self._started if key not in ended]
        return True

    async def end(self) -> None:
        """Stops the kernel and closes the session at the platform; its history stays."""
        await self.stop_kernel()
        request = notebooks_pb2.EndSessionRequest(workspace_id=self.session.workspace_id, session_id=self.session.id)
        await self.platform.sessions.EndSession(request)

    async def close(self) -> None:
        """Lets the carriers finish, then leaves; the kernel and its runs go on."""
        if self._tasks and not self._tasks[0].done():
            await self.settle()
        await self._stop()

    async def __aenter__(self) -> "RuntimeSession":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    # -- the stream

    async def _pump(self) -> None:
        try:
            async for item in self._socket.frames():
                if isinstance(item, Reattached):
                    self._on_attached(item)
                else:
                    await self._on_frame(item)
        except SpinError as error:
            await self._fail(error)

    def _on_attached(self, event: Reattached) -> None:
        self._boot_changed = event.new_boot
        self._receipts.restart()
        self._answers.attached(event.attachment.boot_id)
        # Positions up to here only replay how the kernel came to the state that the runtime reports now.
        self._kernel_known_at = event.attached.last_position
        self._kernel.changed(event.attached.kernel)
        self.warnings = tuple(event.attached.warnings)
        self.kernels = tuple(event.attached.kernels)
        self._standing.attached(event)

    async def _on_frame(self, frame: frames_pb2.RuntimeFrame) -> None:
        match frame.WhichOneof("body"):
            case "outputs":
                await self._on_outputs(frame.outputs)
            case "run_state":
                await self._on_event(frame.run_state.nonce, state_of(frame.run_state))
            case "input_request":
                request = frame.input_request
                await self._on_event(request.nonce, InputRequest(request.prompt, request.password, request.request_id, run_key(request.nonce)))
            case "kernel_state":
                if frame.position > self._kernel_known_at:
                    self._kernel.changed(frame.kernel_state)
            case "receipts":
                await self._receipts.add(frame.receipts.receipts)
            case "complete_reply":
                self._requests.answered(frame.complete_reply.request_id, frame.complete_reply)
            case "inspect_reply":
                self._requests.answered(frame.inspect_reply.request_id, frame.inspect_reply)
            case "kernel_reply":
                self._requests.answered(frame.kernel_reply.request_id, frame.kernel_reply)
            case "resumed":
                await self._on_resumed()
            case "trust_accepted":
                self._standing.trusted_until(frame.trust_accepted.expires_at_ms)
            case "bundle_accepted":
                await self._standing.bundle_accepted(frame.bundle_accepted.bundle_version)
            case "error":
                await self._on_error(frame.error)

    async def _on_outputs(self, batch: frames_pb2.OutputBatch) -> None:
        nonce = batch.nonce if batch.HasField("nonce") else None
        for output in batch.outputs:
            await self._on_event(nonce, output_of(output, batch.cell_id))
        if nonce is not None:
            await self._outputs.add(nonce, batch.outputs)

    async def _on_event(self, nonce: run_pb2.RunNonce | None, event: Event) -> None:
        key = run_key(nonce) if nonce is not None else None
        if key is not None:
            self._answers.went_on(key, ended=isinstance(event, RunState) and event.final)
        for watcher in self._watchers:
            watcher(key, event)
        run = self._runs.get(key) if key is not None else None
        if run is None:
            return
        if isinstance(event, RunState) and event.final:
            del self._runs[run.key]
        await run.put(event)

    async def _on_resumed(self) -> None:
        """What the stream did not tell by now, the runtime never got, or lost with its old boot."""
        for run in list(self._runs.values()):
            if self._boot_changed and run.key[0] != (await self._standing.attachment()).boot_id:
                await self._lose(run, RunState(Phase.ENDED, Status.LOST, run.cell_id, message="the runtime restarted in the middle of the run"))
            elif not run.seen and run.sent_on is not None and run.sent_on < self._socket.connection:
                await self._send_program(run)
        # Not `_send`: this is the reader itself, which alone can attach again.
        try:
            for frame in [*self._requests.unanswered(), *self._kernel.unanswered(), *self._answers.unanswered()]:
                await self._socket.send(frame)
            self._answers.resent()
        except ConnectionLost:
            return

    async def _on_error(self, frame: frames_pb2.Error) -> None:
        error = from_frame(frame)
        if frame.ciphertext_digest:
            refused = [run for run in self._runs.values() if run.ciphertext_digest == frame.ciphertext_digest]
            for run in refused:
                state = RunState(Phase.REJECTED, Status.UNSPECIFIED, run.cell_id, reason=error.reason, message=error.text)
                await self._on_event(run.nonce, state)
            if not refused and error.reason == "HELLO_STALE":
                # Credentials were sealed to a key that the runtime has replaced; they come with the next attachment.
                await self._socket.reattach()
        elif not self._requests.refused(frame) and not self._kernel.failed(error) and not self._answers.refused(error):
            log.warning("the runtime reports: %s (%s)", error.text, error.reason)

    async def _fail(self, error: SpinError) -> None:
        """The stream is over for good: whoever waits learns why."""
        self._standing.failed(error)
        self._answers.failed(error)
        for run in list(self._runs.values()):
            await self._lose(run, RunState(Phase.ENDED, Status.LOST, run.cell_id, reason=error.reason, message=error.text))
        self._kernel.ended(error)

    async def _lose(self, run: Run, state: RunState) -> None:
        """Ends a run whose end this client will not hear of; its receipt comes with the runtime's next start."""
        self._started.remove(run.key)
        await self._on_event(run.nonce, state)

    async def synchronise(self, timeout_s: float = 30.0) -> int:
        """Brings the runtime the credentials of now, which a session does by itself when it attaches. The version of the bundle; 0 for none."""
        async with asyncio.timeout(timeout_s):
            return await self._standing.synchronise()

    # -- sending

    async def _send(self, frame: frames_pb2.ClientFrame) -> None:
        if self._tasks and self._tasks[0].done():
            raise self._socket.ended or SpinError("NOT_REACHABLE", "the session's connection has ended: open it again")
        try:
            await self._socket.send(frame)
        except ConnectionLost:
            # The reader notices as well and attaches again, or gives up after its patience.
            await asyncio.sleep(_RESEND_S)
            await self._send(frame)

    async def _send_program(self, run: Run) -> None:
        try:
            run.sent_on = await self._socket.send(run.frame)
        except ConnectionLost:
            # `_on_resumed` sends it when the stream shows that it did not arrive.
            run.sent_on = 0

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._standing.stop()
        await self._socket.close()
