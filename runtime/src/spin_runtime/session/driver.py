"""Does what a session's rules decide, with a kernel, the broker and the journal.

Events are decided at once, in the order they come. What takes time and must keep its order (receipts, kernels' lives) goes through the lane:
a START receipt is durable before the code is sent to the kernel, an END receipt before the frame that says so.
"""

import asyncio
import base64
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from spin_runtime.broker.api import Attachment, Broker, BrokerError, BundleStored, Rejected, Run, RunEnd
from spin_runtime.egress.policy import told
from spin_runtime.kernels.api import Execute, Kernel, KernelMessage, KernelPool, KernelStartFailed
from spin_runtime.session import frames
from spin_runtime.session import model as m
from spin_runtime.session.collector import FLUSH_BYTES, Collector, Signals, Totals
from spin_runtime.session.decide import asking, decide, next_tick_ms
from spin_runtime.session.journal import Journal
from spin_runtime.session.lane import Lane
from spin_runtime.session.tracing import RunTraces
from spinapis.envelope.v1.attach_pb2 import EgressPolicy
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

FLUSH_S = 0.003
PROGRESS_FRAMES = 256
PROGRESS_S = 2.0
UNRECORDED = "The runtime could not write the receipt of this run; its log says why."
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Limits:
    """What sessions may use. 0 means no limit."""

    rules: m.Rules
    output_bytes: int
    message_bytes: int


@dataclass(frozen=True)
class Collaborators:
    pool: KernelPool
    broker: Broker
    clock_ms: Callable[[], int]
    traces: RunTraces


class Session:
    def __init__(self, session_id: bytes, collaborators: Collaborators, limits: Limits, journal: Journal, workdir: Path) -> None:
        self.session_id, self.journal = session_id, journal
        self._pool, self._broker = collaborators.pool, collaborators.broker
        self._now, self._traces = collaborators.clock_ms, collaborators.traces
        self._workdir = workdir
        self._collector = Collector(limits.output_bytes, limits.message_bytes)
        self._state = m.State(limits.rules, active_ms=self._now())
        self._kernel: Kernel | None = None
        # As the client said that attached last: nothing is reached before one did.
        self._egress = EgressPolicy()
        self._epoch = 0
        self._lane = Lane(f"session {session_id.hex()[:8]}")
        self._actions: deque[m.Action] = deque()
        self._performing = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._flush_timer: asyncio.TimerHandle | None = None
        self._progress_timer: asyncio.TimerHandle | None = None
        self._begun: Run | None = None
        self._progressed = 0
        self._progress_waits = False
        self._opening: set[asyncio.Task[Run | Rejected | BundleStored]] = set()
        self.drained = asyncio.Event()
        self.clients = 0
        self.quiet_since_ms = self._now()
        journal.on_pressure = self._on_pressure

    @property
    def kernel(self) -> Kernel | None:
        """The live kernel, for requests that only read."""
        return self._kernel if self._state.kernel.live else None

    def attached(self, attachment: Attachment) -> None:
        """The policy of whoever attached last counts for the kernels that start from now on."""
        self._egress = attachment.egress

    @property
    def egress_note(self) -> str:
        """For who attaches: that the kernel was started by another policy; else nothing."""
        if self.kernel is None or self._pool.given(self._egress) == self.kernel.egress:
            return ""
        return "The egress policy is another one since this kernel started: it counts once the kernel is restarted."

    @property
    def kernel_state(self) -> frames_pb2.KernelState:
        return frames.kernel_state(self._state.kernel, len(self._state.queue))

    @property
    def state(self) -> m.State:
        return self._state

    @property
    def unused(self) -> bool:
        """Nobody is attached, nothing runs and no kernel waits."""
        return self.clients == 0 and not self._opening and self._state.current is None and not self._state.kernel.coming

    async def open(self, sealed: bytes, by: Attachment, traceparent: str = "") -> Run | Rejected | BundleStored:
        """Hands in what a client sent. Once the broker has it, its run is the session's, whether or not the client stays. Raises BrokerError."""
        task = asyncio.create_task(self._open(sealed, by, traceparent))
        self._opening.add(task)
        task.add_done_callback(self._opened)
        return await asyncio.shield(task)

    async def _open(self, sealed: bytes, by: Attachment, traceparent: str) -> Run | Rejected | BundleStored:
        opened = await self._broker.open_sealed(sealed, by.handle)
        if isinstance(opened, Rejected):
            self._show(frames.rejected(opened, self._now()))
        elif isinstance(opened, Run):
            self._traces.begin(opened, traceparent)
            self.post(m.Submit(opened, self._now()))
        return opened

    def _opened(self, task: "asyncio.Task[Run | Rejected | BundleStored]") -> None:
        self._opening.discard(task)
        # A refusal that its client is not there to hear.
        if not task.cancelled():
            task.exception()

    def detach(self, attachment: Attachment) -> None:
        """The client is gone; kernels that it asked for still start."""
        self._lane.put(lambda: self._broker.detach(attachment.handle))

    def post(self, event: m.Event) -> m.Refuse | None:
        """Decides the event and does what follows; returns the refusal that the asking client should see."""
        refusal = None
        self._state, actions = decide(self._state, event)
        for action in actions:
            if isinstance(action, m.Refuse):
                refusal = action
            else:
                self._actions.append(action)
        # An action may bring the next event at once: that one's actions come after these.
        if not self._performing:
            self._performing = True
            try:
                while self._actions:
                    self._perform(self._actions.popleft())
            finally:
                self._performing = False
        self._arm()
        return refusal

    async def answer(self, request_id: str, value: str, by: Attachment) -> m.Refuse | None:
        """Passes on what a client typed, if the run that asks is its own. Raises BrokerError."""
        run = asking(self._state, request_id)
        if run is not None:
            await self._broker.may_answer(by.handle, run.nonce)
        return self.post(m.InputGiven(request_id, value))

    def lose_trust(self, reason: m.Reason, message: str) -> None:
        """Nothing may run here now."""
        self.post(m.TrustLost(self._now(), reason, message))

    async def close(self) -> None:
        """Ends the session: the lane empties, the stream is forgotten."""
        for timer in (self._timer, self._flush_timer, self._progress_timer):
            if timer is not None:
                timer.cancel()
        if self._opening:
            await asyncio.wait(self._opening)
        await self._lane.close()
        await self.journal.close()

    def _perform(self, action: m.Action) -> None:
        match action:
            case m.ShowQueued(run):
                self._show(frames.queued(run, self._now()), held=True)
            case m.ShowKernel(kernel, queue_length):
                frame = frames_pb2.RuntimeFrame(kernel_state=frames.kernel_state(kernel, queue_length))
                self._show(frame, held=kernel.phase == frames_pb2.KERNEL_PHASE_BUSY)
            case m.StartRun(run):
                self._lane.put(lambda: self._start_run(run))
            case m.EndRun() as end:
                self._lane.put(lambda: self._end_run(end))
            case m.InterruptKernel():
                self._lane.put(lambda: self._ask(lambda kernel: kernel.interrupt()))
            case m.HoldKernel(held):
                self._lane.put(lambda: self._ask(lambda kernel: kernel.hold(held)))
            case m.AskInput() as ask:
                self._show(frames.input_request(ask))
            case m.SendInput(value):
                self._lane.put(lambda: self._ask(lambda kernel: kernel.input_reply(value)))
            case m.StartKernel(start, name, by):
                self._lane.put(lambda: self._start_kernel(start, name, by))
            case m.StopKernel(_, reason):
                self._lane.put(lambda: self._stop_kernel(reason))
            case m.Drained():
                self._lane.put(self._set_drained)
            case m.Refuse():
                pass  # returned to who asked

    # Runs

    async def _start_run(self, run: Run) -> None:
        try:
            await self._broker.run_started(run.nonce)
        except Exception as error:
            log.exception("a run's start could not be recorded", cell=run.cell_id)
            refused = error if isinstance(error, BrokerError) else BrokerError(reasons_pb2.ERROR_REASON_INTERNAL, UNRECORDED)
            self.post(m.RunNotStarted(run.nonce, refused.text, refused.reason))
            return
        kernel = self._kernel
        if kernel is None:
            self.post(m.RunNotStarted(run.nonce, "The kernel ended before this cell began."))
            return
        self._show(frames.running(run, self._now()), held=True)
        try:
            if run.limits.memory_bytes:
                await kernel.limit_memory(run.limits.memory_bytes)
            request = _request(run, await kernel.admit(run.socket_path))
        except Exception:
            log.exception("a kernel could not be prepared for a run", cell=run.cell_id)
            if run.limits.memory_bytes:
                await self._unlimited(kernel)
            self.post(m.RunNotStarted(run.nonce, "The kernel could not be prepared for this cell; restart it."))
            return
        self._begun, self._progressed = run, 0
        self._collector.begin(run, await kernel.execute(request))
        self._traces.executing(run)
        self.post(m.RunExecuting(run.nonce, self._now()))

    async def _end_run(self, end: m.EndRun) -> None:
        run, totals = end.run, Totals()
        if self._begun is not None and self._begun.nonce == run.nonce:
            self._begun = None
            totals = self._collector.finish()
            # The end follows as soon as it is on disk.
            self._flush(held=True)
            self._cancel_progress()
            if run.limits.memory_bytes and self._kernel is not None:
                await self._unlimited(self._kernel)
        try:
            await self._broker.run_ended(RunEnd(run.nonce, end.status, totals.frames, totals.digest, totals.truncated, end.message))
        except Exception:
            log.exception("a run's end could not be recorded", cell=run.cell_id)
            end = m.EndRun(run, end.status, UNRECORDED, reasons_pb2.ERROR_REASON_INTERNAL)
        self._show(frames.ended(end, totals, self._now()))
        self._traces.ended(run, end.status, totals.frames)
        self.post(m.RunRecorded(run.nonce, self._now()))

    async def _unlimited(self, kernel: Kernel) -> None:
        try:
            await kernel.limit_memory(0)
        except Exception:  # a kernel that is gone needs no limit, and one that keeps it has the stricter side
            log.warning("a run's memory limit could not be lifted", session=self.session_id.hex(), exc_info=True)

    async def _ask(self, what: Callable[[Kernel], Awaitable[None]]) -> None:
        if self._kernel is not None:
            await what(self._kernel)

    # Kernels

    async def _start_kernel(self, start: int, name: str, by: Attachment) -> None:
        try:
            kernel = await self._pool.take(name, self._workdir, self._egress)
        except LookupError:
            self.post(m.KernelFailed(start, f"No kernel named {name} is installed on this runtime."))
            return
        except KernelStartFailed as error:
            self.post(m.KernelFailed(start, str(error)))
            return
        try:
            live = await self._broker.kernel_started(by.handle, kernel.name)
        except BrokerError as error:
            await kernel.stop()
            self.post(m.KernelFailed(start, error.text))
            return
        self._kernel, self._epoch = kernel, live.kernel_epoch
        kernel.subscribe(self._on_messages)

        async def gone(text: str) -> None:
            self.post(m.KernelGone(live.kernel_epoch, text))

        kernel.on_death(gone)
        self.post(m.KernelUp(start, kernel.name, kernel.language, live.kernel_epoch, self._now(), told(kernel.egress)))
        if not kernel.alive:
            self.post(m.KernelGone(live.kernel_epoch, "The kernel ended as soon as it had started."))

    async def _stop_kernel(self, reason: str) -> None:
        kernel, self._kernel = self._kernel, None
        if kernel is None:
            return
        await kernel.stop()
        await self._broker.kernel_ended(self._epoch, reason)

    async def _set_drained(self) -> None:
        self.drained.set()

    # Outputs

    def _on_messages(self, messages: Sequence[KernelMessage]) -> None:
        signals = self._collector.take(messages)
        if self._collector.pending >= FLUSH_BYTES:
            self._flush()
        elif self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)
        self._note_progress()
        if signals is not None:
            self._signal(signals)

    def _signal(self, signals: Signals) -> None:
        if signals.busy:
            self.post(m.RunBusy(self._now()))
        for prompt, password in signals.inputs:
            self.post(m.InputWanted(prompt, password))
        if signals.reply is not None:
            self.post(m.RunReplied(signals.reply, self._now()))
        if signals.idle:
            self.post(m.RunIdle(self._now()))

    def _flush(self, *, held: bool = False) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        for pieces in self._collector.flush():
            self.journal.append(pieces, held=held)

    def _show(self, frame: frames_pb2.RuntimeFrame, *, held: bool = False) -> None:
        """Writes a frame behind the outputs that came before it."""
        self._flush(held=held)
        self.journal.append((frame.SerializeToString(),), held=held)

    def _on_pressure(self, pressed: bool) -> None:
        if self._kernel is not None:
            (self._kernel.pause if pressed else self._kernel.resume)()

    # Progress receipts

    def _note_progress(self) -> None:
        frames_now = self._collector.totals.frames
        if frames_now - self._progressed >= PROGRESS_FRAMES:
            self._progress()
        elif frames_now > self._progressed and self._progress_timer is None:
            self._progress_timer = asyncio.get_running_loop().call_later(PROGRESS_S, self._progress)

    def _progress(self) -> None:
        self._cancel_progress()
        if not self._progress_waits:
            self._progress_waits = True
            self._lane.put(self._write_progress)

    async def _write_progress(self) -> None:
        self._progress_waits = False
        totals = self._collector.totals
        if self._begun is None or totals.frames <= self._progressed:
            return
        self._progressed = totals.frames
        await self._broker.run_progress(self._begun.nonce, totals.frames, totals.digest)

    def _cancel_progress(self) -> None:
        if self._progress_timer is not None:
            self._progress_timer.cancel()
            self._progress_timer = None

    # Time

    def _arm(self) -> None:
        due = next_tick_ms(self._state)
        if due == self._timer_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms, self._timer = due, None
        if due:
            self._timer = asyncio.get_running_loop().call_later(max(0, due - self._now()) / 1000 + 0.001, self._tick)

    def _tick(self) -> None:
        self._timer_ms, self._timer = 0, None
        self.post(m.Tick(self._now()))


def _request(run: Run, socket_path: str) -> Execute:
    return Execute(
        code=run.code,
        silent=run.silent,
        store_history=run.store_history,
        allow_stdin=run.allow_stdin,
        # The kernel never has a second request: the session's own queue does the aborting.
        stop_on_error=False,
        user_expressions=run.user_expressions,
        # Where code in the kernel finds the broker during this run.
        metadata={"socket": socket_path, "ticket": base64.b64encode(run.ticket).decode()},
    )
