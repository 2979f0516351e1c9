"""The session's own frames: run states, kernel states, input requests."""

from spin_runtime.broker.api import Rejected, Run
from spin_runtime.session import model as m
from spin_runtime.session.collector import Totals
from spinapis.runtime.v1 import frames_pb2


def _run_state(run: Run, phase: m.RunPhase, now_ms: int) -> frames_pb2.RuntimeFrame:
    state = frames_pb2.RunState(
        nonce=run.nonce,
        cell_id=run.cell_id,
        ciphertext_digest=run.ciphertext_digest,
        program_digest=run.program_digest,
        phase=phase,
        time_ms=now_ms,
        user_id=run.user_id,
    )
    return frames_pb2.RuntimeFrame(run_state=state)


def queued(run: Run, now_ms: int) -> frames_pb2.RuntimeFrame:
    return _run_state(run, frames_pb2.RUN_PHASE_QUEUED, now_ms)


def running(run: Run, now_ms: int) -> frames_pb2.RuntimeFrame:
    return _run_state(run, frames_pb2.RUN_PHASE_RUNNING, now_ms)


def ended(end: m.EndRun, totals: Totals, now_ms: int) -> frames_pb2.RuntimeFrame:
    frame = _run_state(end.run, frames_pb2.RUN_PHASE_ENDED, now_ms)
    state = frame.run_state
    state.status, state.reason, state.message = end.status, end.reason, end.message
    state.frames, state.output_digest, state.truncated = totals.frames, totals.digest, totals.truncated
    return frame


def rejected(refusal: Rejected, now_ms: int) -> frames_pb2.RuntimeFrame:
    state = frames_pb2.RunState(
        nonce=refusal.nonce,
        cell_id=refusal.cell_id,
        ciphertext_digest=refusal.ciphertext_digest,
        phase=frames_pb2.RUN_PHASE_REJECTED,
        reason=refusal.reason,
        message=refusal.text,
        time_ms=now_ms,
        user_id=refusal.user_id,
    )
    return frames_pb2.RuntimeFrame(run_state=state)


def kernel_state(kernel: m.KernelView, queue_length: int) -> frames_pb2.KernelState:
    return frames_pb2.KernelState(
        phase=kernel.phase,
        kernel_name=kernel.name,
        kernel_epoch=kernel.epoch,
        language=kernel.language,
        message=kernel.message,
        queue_length=queue_length,
        user_ids=kernel.user_ids,
    )


def input_request(ask: m.AskInput) -> frames_pb2.RuntimeFrame:
    request = frames_pb2.InputRequest(nonce=ask.run.nonce, prompt=ask.prompt, password=ask.password, request_id=ask.request_id)
    return frames_pb2.RuntimeFrame(input_request=request)
