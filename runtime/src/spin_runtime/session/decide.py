"""The session's rules: (state, event) -> (state, actions), without I/O and without a clock.

- A kernel has one run at a time; the others wait in order. Every run that was submitted gets exactly one EndRun.
- A run is over when the kernel replied and went idle. A run that fails or meets a limit takes the queued runs that asked for it
  (stop_on_error) with it; an interrupted one leaves the queue alone, unless that was asked.
- A new kernel is a new epoch: programs were compiled for the old one, so its queue is aborted. It has nobody's code yet.
- Without trust nothing runs: the queue is aborted and the run stopped as by a limit. The kernel stays, unless the runtime was removed.
- A run that outlives its wall time is interrupted, and its kernel killed when that does not help. The runtime's stop does the same after its grace.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from spin_runtime.broker.api import Attachment, Run
from spin_runtime.session import model as m
from spinapis.envelope.v1 import receipt_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

INTERRUPTED, LIMIT, ABORTED = receipt_pb2.RUN_STATUS_INTERRUPTED, receipt_pb2.RUN_STATUS_LIMIT, receipt_pb2.RUN_STATUS_ABORTED
FAILURES = frozenset({receipt_pb2.RUN_STATUS_ERROR, LIMIT})
NOTHING: tuple[m.Action, ...] = ()
UNNAMED = reasons_pb2.ERROR_REASON_UNSPECIFIED

STALE = "The kernel was restarted or stopped after this cell was compiled: run it again."
DRAINING = "The runtime is going down: run the cell again when it is back."
NOT_QUEUED = "No queued run has this nonce: it started or ended already. Interrupt stops a running one."
EARLIER_FAILED = "A cell before it failed, so it was not run."


def decide(state: m.State, event: m.Event) -> m.Decision:
    """What follows from the event."""
    return _RULES[type(event)](state, event)


def asking(state: m.State, request_id: str) -> Run | None:
    """The run that waits for the answer of this id."""
    current = state.current
    return current.run if current is not None and current.stage is m.Stage.RUNNING and request_id and current.input_id == request_id else None


def next_tick_ms(state: m.State) -> int:
    """When a Tick is due at the latest; 0 when none is."""
    due = []
    if (current := state.current) is not None and current.stage is m.Stage.RUNNING:
        due += [current.kill_ms] if current.kill_ms else [current.deadline_ms, state.drain_ms or 0]
        due += [_overdue_ms(state.rules, current), current.interrupt_ms]
    elif state.rules.idle_cull_ms and current is None and state.kernel.live:
        due.append(state.active_ms + state.rules.idle_cull_ms)
    return min((at for at in due if at), default=0)


def _submit(state: m.State, event: m.Submit) -> m.Decision:
    run = event.run
    state = replace(state, active_ms=event.now_ms)
    if state.drain_ms is not None:
        return state, (m.EndRun(run, ABORTED, DRAINING, reasons_pb2.ERROR_REASON_DRAINING),)
    if not state.kernel.live or run.nonce.kernel_epoch != state.kernel.epoch:
        return state, (m.EndRun(run, ABORTED, STALE, reasons_pb2.ERROR_REASON_KERNEL_EPOCH_STALE),)
    state, came = _came(state, run)
    if len(state.queue) >= state.rules.queue:
        text = f"{state.rules.queue} cells wait already: wait for some to end, or cancel them."
        return state, (*came, m.EndRun(run, ABORTED, text, reasons_pb2.ERROR_REASON_QUEUE_FULL))
    state, actions = _next(replace(state, queue=(*state.queue, run)))
    return state, (*came, m.ShowQueued(run), *actions)


def _came(state: m.State, run: Run) -> m.Decision:
    """The broker counts whoever's program it admitted for the kernel, from then on; so everyone is told."""
    if run.user_id in state.kernel.user_ids:
        return state, NOTHING
    state = _kernel(state, user_ids=(*state.kernel.user_ids, run.user_id))
    return state, (_shown(state),)


def _next(state: m.State) -> m.Decision:
    """Gives a free kernel its next run."""
    if state.current is not None or not state.queue or not state.kernel.live:
        return state, NOTHING
    run = state.queue[0]
    state = replace(state, current=m.Current(run), queue=state.queue[1:])
    if state.kernel.phase == frames_pb2.KERNEL_PHASE_BUSY:
        return state, (m.StartRun(run),)
    state = _kernel(state, phase=frames_pb2.KERNEL_PHASE_BUSY)
    return state, (_shown(state), m.StartRun(run))


def _executing(state: m.State, event: m.RunExecuting) -> m.Decision:
    current = _is_current(state, event.nonce)
    if current is None or current.stage is not m.Stage.STARTING:
        return state, NOTHING
    limits = [limit for limit in (current.run.limits.wall_ms, state.rules.wall_ms) if limit]
    deadline = event.now_ms + min(limits) if limits else 0
    return state.with_current(stage=m.Stage.RUNNING, deadline_ms=deadline), NOTHING


def _not_started(state: m.State, event: m.RunNotStarted) -> m.Decision:
    current = _is_current(state, event.nonce)
    if current is None or current.stage is m.Stage.ENDING:
        return state, NOTHING
    return _end_current(state, ABORTED, event.message, event.reason)


def _busy(state: m.State, event: m.RunBusy) -> m.Decision:
    current = state.current
    if current is None or current.busy_ms:
        return state, NOTHING
    waits = event.now_ms + state.rules.settle_ms if current.stopped_as is not None else 0
    return state.with_current(busy_ms=event.now_ms, interrupt_ms=waits), NOTHING


def _replied(state: m.State, event: m.RunReplied) -> m.Decision:
    if state.current is None or state.current.stage is not m.Stage.RUNNING:
        return state, NOTHING
    return _end_if_over(state.with_current(reply=event.status, replied_ms=event.now_ms))


def _idle(state: m.State, event: m.RunIdle) -> m.Decision:
    if state.current is None or state.current.stage is not m.Stage.RUNNING:
        return state, NOTHING
    return _end_if_over(state.with_current(idle_ms=event.now_ms))


def _end_if_over(state: m.State) -> m.Decision:
    current = state.current
    if current is None or current.reply is None or not current.idle_ms:
        return state, NOTHING
    failed = current.reply != receipt_pb2.RUN_STATUS_OK
    return _end_current(state, current.stopped_as if failed and current.stopped_as is not None else current.reply)


def _end_current(state: m.State, status: m.RunStatus, message: str = "", reason: m.Reason = UNNAMED) -> m.Decision:
    assert state.current is not None
    end = m.EndRun(state.current.run, status, message, reason)
    state = state.with_current(stage=m.Stage.ENDING)
    if status not in FAILURES:
        return state, (end,)
    state, aborted = _abort_queue(state, EARLIER_FAILED, lambda run: run.stop_on_error)
    return state, (end, *aborted)


def _abort_queue(state: m.State, message: str, which: Callable[[Run], bool] = lambda _: True, reason: m.Reason = UNNAMED) -> m.Decision:
    ends = tuple(m.EndRun(run, ABORTED, message, reason) for run in state.queue if which(run))
    return replace(state, queue=tuple(run for run in state.queue if not which(run))), ends


def _recorded(state: m.State, event: m.RunRecorded) -> m.Decision:
    current = _is_current(state, event.nonce)
    if current is None or current.stage is not m.Stage.ENDING:
        return state, NOTHING
    state, actions = _next(replace(state, current=None, active_ms=event.now_ms))
    if actions or not state.kernel.live:
        return _if_drained(state, actions)
    state = _kernel(state, phase=frames_pb2.KERNEL_PHASE_IDLE)
    return _if_drained(state, (_shown(state), *_held(state)))


def _interrupt(state: m.State, event: m.InterruptWanted) -> m.Decision:
    aborted = NOTHING
    if event.clear_queue:
        state, aborted = _abort_queue(state, "It was taken out of the queue by an interrupt.")
    current = state.current
    if current is None or current.stage is m.Stage.ENDING:
        return state, aborted
    state = state.with_current(stopped_as=current.stopped_as or INTERRUPTED)
    if not current.busy_ms:
        return state, aborted
    settled_ms = current.busy_ms + state.rules.settle_ms
    if event.now_ms < settled_ms:
        return state.with_current(interrupt_ms=settled_ms), aborted
    return state, (*aborted, m.InterruptKernel())


def _cancel(state: m.State, event: m.CancelWanted) -> m.Decision:
    if all(run.nonce != event.nonce for run in state.queue):
        return state, (m.Refuse(reasons_pb2.ERROR_REASON_NOT_FOUND, NOT_QUEUED),)
    return _abort_queue(state, "It was cancelled before it started.", lambda run: run.nonce == event.nonce)


def _input_wanted(state: m.State, event: m.InputWanted) -> m.Decision:
    if state.current is None or state.current.stage is not m.Stage.RUNNING:
        return state, NOTHING
    request_id = f"{state.kernel.epoch}.{state.inputs + 1}"
    state = replace(state.with_current(input_id=request_id), inputs=state.inputs + 1)
    assert state.current is not None
    return state, (m.AskInput(state.current.run, request_id, event.prompt, event.password),)


def _input_given(state: m.State, event: m.InputGiven) -> m.Decision:
    if asking(state, event.request_id) is None:
        return state, (m.Refuse(reasons_pb2.ERROR_REASON_NOT_FOUND, "This input request was answered or is over."),)
    return state.with_current(input_id=""), (m.SendInput(event.value),)


def _start_kernel(state: m.State, event: m.StartKernelWanted) -> m.Decision:
    state = replace(state, active_ms=event.now_ms)
    if state.drain_ms is not None:
        return state, (m.Refuse(reasons_pb2.ERROR_REASON_DRAINING, "The runtime is going down: attach again when it is back."),)
    if state.kernel.coming and event.name in ("", state.kernel.name):
        return state, NOTHING
    return _replace_kernel(state, event.name, event.by, "another kernel was chosen")


def _restart(state: m.State, event: m.RestartWanted) -> m.Decision:
    state = replace(state, active_ms=event.now_ms)
    if state.drain_ms is not None:
        return state, (m.Refuse(reasons_pb2.ERROR_REASON_DRAINING, "The runtime is going down: attach again when it is back."),)
    if state.kernel.phase == frames_pb2.KERNEL_PHASE_STARTING:
        return state, NOTHING
    return _replace_kernel(state, state.kernel.name, event.by, "restarted")


def _replace_kernel(state: m.State, name: str, by: Attachment, reason: str) -> m.Decision:
    state, ended = _end_kernel(state, INTERRUPTED, f"The kernel was stopped: {reason}.")
    state = replace(state, kernel=m.KernelView(frames_pb2.KERNEL_PHASE_STARTING, name), starts=state.starts + 1)
    return state, (*ended, _shown(state), m.StartKernel(state.starts, name, by))


def _end_kernel(state: m.State, status: m.RunStatus, message: str, reason: str = "stopped") -> m.Decision:
    """Ends the process first, so that nothing of it can come after the END receipts."""
    stop = (m.StopKernel(state.kernel.epoch, reason),) if state.kernel.coming else NOTHING
    ends: tuple[m.Action, ...] = NOTHING
    if state.current is not None and state.current.stage is not m.Stage.ENDING:
        ends = (m.EndRun(state.current.run, state.current.stopped_as or status, message),)
        state = state.with_current(stage=m.Stage.ENDING)
    state, aborted = _abort_queue(state, STALE)
    return state, (*stop, *ends, *aborted)


def _stop(state: m.State, event: m.StopWanted) -> m.Decision:
    if not state.kernel.coming:
        return state, NOTHING
    return _stopped(state, INTERRUPTED, event.message)


def _stopped(state: m.State, status: m.RunStatus, message: str, phase: m.KernelPhase = frames_pb2.KERNEL_PHASE_STOPPED) -> m.Decision:
    state, actions = _end_kernel(state, status, message, "died" if phase == frames_pb2.KERNEL_PHASE_DEAD else "stopped")
    state = _kernel(state, phase=phase, message=message, user_ids=())
    return _if_drained(state, (*actions, _shown(state)))


def _kernel_up(state: m.State, event: m.KernelUp) -> m.Decision:
    if state.kernel.phase != frames_pb2.KERNEL_PHASE_STARTING or event.start != state.starts:
        # It was stopped while it started: the driver has its StopKernel still to come.
        return state, NOTHING
    view = m.KernelView(frames_pb2.KERNEL_PHASE_IDLE, event.name, event.epoch, event.language, event.message)
    state = replace(state, kernel=view, active_ms=event.now_ms)
    return state, (_shown(state),)


def _kernel_failed(state: m.State, event: m.KernelFailed) -> m.Decision:
    if state.kernel.phase != frames_pb2.KERNEL_PHASE_STARTING or event.start != state.starts:
        return state, NOTHING
    state = _kernel(state, phase=frames_pb2.KERNEL_PHASE_DEAD, message=event.message)
    return state, (_shown(state),)


def _kernel_gone(state: m.State, event: m.KernelGone) -> m.Decision:
    if not state.kernel.live or event.epoch != state.kernel.epoch:
        return state, NOTHING
    return _stopped(state, receipt_pb2.RUN_STATUS_KERNEL_DIED, event.message, frames_pb2.KERNEL_PHASE_DEAD)


def _tick(state: m.State, event: m.Tick) -> m.Decision:
    now, current = event.now_ms, state.current
    if current is None:
        return _cull(state, now)
    if current.stage is not m.Stage.RUNNING:
        return state, NOTHING
    if current.kill_ms and now >= current.kill_ms:
        return _stopped(state, INTERRUPTED, "The cell did not stop when it was interrupted, so its kernel was stopped. Start it again.")
    if now >= _overdue_ms(state.rules, current) > 0:
        return _end_if_over(state.with_current(idle_ms=now, reply=current.reply or receipt_pb2.RUN_STATUS_ERROR))
    if current.interrupt_ms and now >= current.interrupt_ms:
        again = now + state.rules.repeat_ms if current.interrupts == 0 else 0
        return state.with_current(interrupt_ms=again, interrupts=current.interrupts + 1), (m.InterruptKernel(),)
    if current.kill_ms:
        return state, NOTHING
    if current.deadline_ms and now >= current.deadline_ms:
        return _told_to_stop(state, LIMIT, now)
    if state.drain_ms is not None and now >= state.drain_ms:
        return _told_to_stop(state, INTERRUPTED, now)
    return state, NOTHING


def _overdue_ms(rules: m.Rules, current: m.Current) -> int:
    """When a run counts as over although the kernel said only half of it; 0: not in sight."""
    half_ms = max(current.replied_ms, current.idle_ms)
    return half_ms + rules.idle_wait_ms if half_ms else 0


def _told_to_stop(state: m.State, status: m.RunStatus, now_ms: int) -> m.Decision:
    assert state.current is not None
    state = state.with_current(stopped_as=state.current.stopped_as or status, kill_ms=now_ms + state.rules.grace_ms)
    return state, (m.InterruptKernel(),)


def _cull(state: m.State, now_ms: int) -> m.Decision:
    if not state.rules.idle_cull_ms or not state.kernel.live or now_ms < state.active_ms + state.rules.idle_cull_ms:
        return state, NOTHING
    minutes = state.rules.idle_cull_ms / 60_000
    return _stopped(
        state, INTERRUPTED, f"The kernel was stopped after {minutes:.0f} minutes without work; its variables are gone. Start it again to go on."
    )


def _trust_lost(state: m.State, event: m.TrustLost) -> m.Decision:
    state, aborted = _abort_queue(state, event.message, reason=event.reason)
    if event.reason == reasons_pb2.ERROR_REASON_RUNTIME_REVOKED:
        if not state.kernel.coming:
            return state, aborted
        state, stopped = _stopped(state, INTERRUPTED, event.message)
        return state, (*aborted, *stopped)
    state, current = replace(state, trusted=False), state.current
    if current is None:
        return state, (*aborted, *_held(state))
    if current.stage is m.Stage.ENDING or current.kill_ms:
        return state, aborted
    state = state.with_current(stopped_as=current.stopped_as or INTERRUPTED, kill_ms=event.now_ms + state.rules.grace_ms)
    # One that has not begun is interrupted when it does.
    return state, (*aborted, m.InterruptKernel()) if current.busy_ms else aborted


def _trust_back(state: m.State, _: m.TrustBack) -> m.Decision:
    return replace(state, trusted=True), (m.HoldKernel(False),) if not state.trusted and state.kernel.live else NOTHING


def _held(state: m.State) -> tuple[m.Action, ...]:
    """Threads that a cell left behind are code that runs, too."""
    return (m.HoldKernel(True),) if state.kernel.live and not state.trusted else NOTHING


def _drain(state: m.State, event: m.Drain) -> m.Decision:
    if state.drain_ms is not None:
        return state, NOTHING
    state = replace(state, drain_ms=event.now_ms + event.grace_ms)
    state, aborted = _abort_queue(state, DRAINING)
    return _if_drained(state, aborted)


def _if_drained(state: m.State, actions: tuple[m.Action, ...]) -> m.Decision:
    """The last steps of a stop: the kernel goes when its run has ended."""
    if state.drain_ms is None or state.current is not None or state.drained:
        return state, actions
    stop: tuple[m.Action, ...] = NOTHING
    if state.kernel.coming:
        stop = (m.StopKernel(state.kernel.epoch, "stopped"),)
        state = _kernel(state, phase=frames_pb2.KERNEL_PHASE_STOPPED, message="The runtime is going down.")
        stop = (*stop, _shown(state))
    return replace(state, drained=True), (*actions, *stop, m.Drained())


def _is_current(state: m.State, nonce: object) -> m.Current | None:
    return state.current if state.current is not None and state.current.run.nonce == nonce else None


def _kernel(state: m.State, **changes: object) -> m.State:
    return replace(state, kernel=replace(state.kernel, **changes))  # type: ignore[arg-type]


def _shown(state: m.State) -> m.ShowKernel:
    return m.ShowKernel(state.kernel, len(state.queue))


_RULES: dict[type, Callable[[m.State, Any], m.Decision]] = {
    m.Submit: _submit,
    m.RunExecuting: _executing,
    m.RunNotStarted: _not_started,
    m.RunBusy: _busy,
    m.RunReplied: _replied,
    m.RunIdle: _idle,
    m.RunRecorded: _recorded,
    m.InterruptWanted: _interrupt,
    m.CancelWanted: _cancel,
    m.InputWanted: _input_wanted,
    m.InputGiven: _input_given,
    m.StartKernelWanted: _start_kernel,
    m.RestartWanted: _restart,
    m.StopWanted: _stop,
    m.KernelUp: _kernel_up,
    m.KernelFailed: _kernel_failed,
    m.KernelGone: _kernel_gone,
    m.Tick: _tick,
    m.TrustLost: _trust_lost,
    m.TrustBack: _trust_back,
    m.Drain: _drain,
}
