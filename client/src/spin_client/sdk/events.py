"""What a run tells: plain objects made from the stream's frames."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

from google.protobuf.message import DecodeError

from spin_client.sdk.errors import SpinError, reason_name
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.runtime.v1 import frames_pb2

# (boot_id, kernel_epoch, seq): names a run once and for ever.
RunKey = tuple[bytes, int, int]


class Kind(IntEnum):
    """OutputKind of the protocol."""

    STREAM = frames_pb2.OUTPUT_KIND_STREAM
    DISPLAY_DATA = frames_pb2.OUTPUT_KIND_DISPLAY_DATA
    EXECUTE_RESULT = frames_pb2.OUTPUT_KIND_EXECUTE_RESULT
    ERROR = frames_pb2.OUTPUT_KIND_ERROR
    CLEAR_OUTPUT = frames_pb2.OUTPUT_KIND_CLEAR_OUTPUT
    UPDATE_DISPLAY_DATA = frames_pb2.OUTPUT_KIND_UPDATE_DISPLAY_DATA
    EXECUTE_INPUT = frames_pb2.OUTPUT_KIND_EXECUTE_INPUT
    STATUS = frames_pb2.OUTPUT_KIND_STATUS
    COMM_OPEN = frames_pb2.OUTPUT_KIND_COMM_OPEN
    COMM_MSG = frames_pb2.OUTPUT_KIND_COMM_MSG
    COMM_CLOSE = frames_pb2.OUTPUT_KIND_COMM_CLOSE
    EXECUTE_REPLY = frames_pb2.OUTPUT_KIND_EXECUTE_REPLY
    TRUNCATED = frames_pb2.OUTPUT_KIND_TRUNCATED
    OTHER = frames_pb2.OUTPUT_KIND_OTHER


class Status(IntEnum):
    """RunStatus of the protocol: how a run ended."""

    UNSPECIFIED = receipt_pb2.RUN_STATUS_UNSPECIFIED
    OK = receipt_pb2.RUN_STATUS_OK
    ERROR = receipt_pb2.RUN_STATUS_ERROR
    INTERRUPTED = receipt_pb2.RUN_STATUS_INTERRUPTED
    LIMIT = receipt_pb2.RUN_STATUS_LIMIT
    KERNEL_DIED = receipt_pb2.RUN_STATUS_KERNEL_DIED
    LOST = receipt_pb2.RUN_STATUS_LOST
    ABORTED = receipt_pb2.RUN_STATUS_ABORTED


class Phase(IntEnum):
    QUEUED = frames_pb2.RUN_PHASE_QUEUED
    RUNNING = frames_pb2.RUN_PHASE_RUNNING
    ENDED = frames_pb2.RUN_PHASE_ENDED
    REJECTED = frames_pb2.RUN_PHASE_REJECTED


@dataclass(frozen=True)
class Output:
    """One message of the kernel, parsed when it is first looked at. `index` is 0 for one that came after the run had ended.

    A kernel may write anything: what is no JSON object reads as an empty one.
    """

    index: int
    kind: Kind
    body: bytes
    cell_id: str

    @cached_property
    def _body(self) -> frames_pb2.OutputBody:
        try:
            return frames_pb2.OutputBody.FromString(self.body)
        except DecodeError:
            return frames_pb2.OutputBody()

    @cached_property
    def content(self) -> Mapping[str, Any]:
        return object_of(self._body.content)

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        return object_of(self._body.metadata)

    @property
    def buffers(self) -> Sequence[bytes]:
        return tuple(self._body.buffers)


@dataclass(frozen=True)
class RunState:
    """A run was queued, started, ended or was rejected. The last two are the last event of a run."""

    phase: Phase
    status: Status
    cell_id: str
    frames: int = 0
    truncated: bool = False
    # Of a rejection, or of an end that is not the code's own: a name of the catalogue, and a text for people.
    reason: str = ""
    message: str = ""
    time_ms: int = 0

    @property
    def final(self) -> bool:
        return self.phase in (Phase.ENDED, Phase.REJECTED)

    @property
    def ok(self) -> bool:
        return self.phase is Phase.ENDED and self.status is Status.OK


@dataclass(frozen=True)
class InputRequest:
    """The code asks for a line: answer with `RuntimeSession.reply`."""

    prompt: str
    password: bool
    request_id: str
    run: RunKey


Event = Output | RunState | InputRequest


def run_key(nonce: run_pb2.RunNonce) -> RunKey:
    return (nonce.boot_id, nonce.kernel_epoch, nonce.seq)


def output_of(output: frames_pb2.Output, cell_id: str) -> Output:
    try:
        kind = Kind(output.kind)
    except ValueError:
        # A kind of a newer runtime: kept, and shown by nobody.
        kind = Kind.OTHER
    return Output(output.index, kind, output.body, cell_id)


def state_of(frame: frames_pb2.RunState) -> RunState:
    """PROTOCOL_VIOLATION for a phase or a status that is none."""
    reason = reason_name(frame.reason) if frame.reason else ""
    try:
        phase, status = Phase(frame.phase), Status(frame.status)
    except ValueError:
        text = f"the runtime told of a run what this client does not know (phase {frame.phase}, status {frame.status}): update the client"
        raise SpinError("PROTOCOL_VIOLATION", text) from None
    return RunState(phase, status, frame.cell_id, frame.frames, frame.truncated, reason, frame.message, frame.time_ms)


def object_of(data: bytes) -> dict[str, Any]:
    """A kernel's JSON object; empty when the kernel wrote something else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
