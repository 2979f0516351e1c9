"""From kernel messages to output frames.

What belongs to the current run is numbered and chained; what comes for an earlier run is shown as late, with index 0, and not chained. Small
messages travel together, in one frame per few milliseconds or 64 KiB. Over the run's output limit one visible OUTPUT_KIND_TRUNCATED stands
in for the rest: the run itself goes on, since what it does in the world matters more than what it prints; how it ends is still shown.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from spin_envelope.chain import OutputChain
from spin_runtime.broker.api import Run
from spin_runtime.kernels.api import KernelMessage
from spin_runtime.kernels.wire import content_of
from spin_runtime.session import encoding
from spin_runtime.session.model import RunStatus
from spinapis.envelope.v1 import receipt_pb2
from spinapis.runtime.v1 import frames_pb2

FLUSH_BYTES = 64 << 10
REMEMBERED_RUNS = 64
# Of the text that asks for input, in characters: it is in the stream for every client, which take no frame of any size.
LONGEST_PROMPT = 16_384
KINDS = {name.removeprefix("OUTPUT_KIND_").lower(): number for name, number in frames_pb2.OutputKind.items()}
STATUS, EXECUTE_REPLY, TRUNCATED, OTHER = KINDS["status"], KINDS["execute_reply"], KINDS["truncated"], KINDS["other"]
# Shown even over the limit: they say how the run ended.
ALWAYS = frozenset({STATUS, EXECUTE_REPLY, KINDS["error"]})


@dataclass(frozen=True)
class Signals:
    """What of the messages matters to the session's rules."""

    busy: bool = False
    idle: bool = False
    reply: RunStatus | None = None
    inputs: tuple[tuple[str, bool], ...] = ()


@dataclass
class _Running:
    """A run's outputs so far. Those of an ended run keep their budget for late ones."""

    target: bytes
    limit: int
    budget: int
    chain: OutputChain = field(default_factory=OutputChain)
    truncated: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Totals:
    frames: int = 0
    digest: bytes = bytes(32)
    truncated: bool = False


class Collector:
    def __init__(self, output_bytes: int, message_bytes: int) -> None:
        self._output_bytes, self._message_bytes = output_bytes, message_bytes
        self._runs: OrderedDict[str, _Running] = OrderedDict()
        self._msg_id = ""
        self._target = b""
        self._pieces: list[bytes] = []
        self._size = 0
        self._ready: list[list[bytes]] = []

    def begin(self, run: Run, msg_id: str) -> None:
        limits = [limit for limit in (run.limits.output_bytes, self._output_bytes) if limit]
        limit = min(limits, default=1 << 62)
        self._runs[msg_id] = _Running(encoding.batch_target(run.nonce, run.cell_id), limit, limit)
        self._msg_id = msg_id
        if len(self._runs) > REMEMBERED_RUNS:
            self._runs.popitem(last=False)

    @property
    def totals(self) -> Totals:
        """The current run's chain, now."""
        run = self._runs.get(self._msg_id)
        return Totals(run.chain.frames, run.chain.digest, run.truncated) if run is not None else Totals()

    def finish(self) -> Totals:
        """The current run's final chain; what comes for it from now on is late."""
        totals = self.totals
        if (run := self._runs.get(self._msg_id)) is not None:
            run.ended = True
        self._msg_id = ""
        return totals

    @property
    def pending(self) -> int:
        return self._size

    def take(self, messages: Sequence[KernelMessage]) -> Signals | None:
        """Collects the messages; None when nothing among them matters to the rules."""
        signals: Signals | None = None
        for message in messages:
            if message.msg_type == "input_request":
                signals = _joined(signals, self._input(message))
                continue
            kind = KINDS.get(message.msg_type, OTHER)
            if (run := self._runs.get(message.parent)) is not None:
                self._add(run, kind, encoding.output_body(message))
                if kind in (STATUS, EXECUTE_REPLY) and message.parent == self._msg_id:
                    signals = _joined(signals, _signal(kind, message))
            elif kind != STATUS:
                self._put(b"", 0, kind, encoding.output_body(message))
        return signals

    def flush(self) -> list[list[bytes]]:
        """The frames that are ready, each in pieces without its position."""
        self._close_batch()
        ready, self._ready = self._ready, []
        return ready

    def _input(self, message: KernelMessage) -> Signals:
        content = content_of(message)
        asked = message.parent == self._msg_id
        return Signals(inputs=((str(content.get("prompt", ""))[:LONGEST_PROMPT], bool(content.get("password"))),) if asked else ())

    def _add(self, run: _Running, kind: int, body: bytes) -> None:
        too_large = len(body) > self._message_bytes
        if too_large or ((run.truncated or len(body) > run.budget) and kind not in ALWAYS):
            if not run.truncated:
                run.truncated = True
                self._emit(run, TRUNCATED, _truncation(self._message_bytes if too_large else run.limit))
            return
        run.budget -= len(body)
        self._emit(run, kind, body)

    def _emit(self, run: _Running, kind: int, body: bytes) -> None:
        if run.ended:
            self._put(run.target, 0, kind, body)
        else:
            run.chain.append(kind, body)
            self._put(run.target, run.chain.frames, kind, body)

    def _put(self, target: bytes, index: int, kind: int, body: bytes) -> None:
        if target != self._target or self._size + len(body) > FLUSH_BYTES:
            self._close_batch()
            self._target = target
        head, body = encoding.output(index, kind, body)
        self._pieces += (head, body)
        self._size += len(head) + len(body)

    def _close_batch(self) -> None:
        if self._pieces:
            self._ready.append(encoding.batch_field(self._target, self._pieces, self._size))
            self._pieces, self._size = [], 0


def _joined(first: Signals | None, second: Signals) -> Signals:
    if first is None:
        return second
    return Signals(first.busy or second.busy, first.idle or second.idle, second.reply or first.reply, first.inputs + second.inputs)


def _signal(kind: int, message: KernelMessage) -> Signals:
    content = content_of(message)
    if kind == EXECUTE_REPLY:
        return Signals(reply=_reply_status(content.get("status")))
    state = content.get("execution_state")
    return Signals(busy=state == "busy", idle=state == "idle")


def _reply_status(status: object) -> RunStatus:
    if status == "ok":
        return receipt_pb2.RUN_STATUS_OK
    return receipt_pb2.RUN_STATUS_ABORTED if status in ("aborted", "abort") else receipt_pb2.RUN_STATUS_ERROR


def _truncation(limit: int) -> bytes:
    text = f"Output over {limit} bytes is not shown. The cell goes on; write large results to a file or a variable instead of printing them."
    content = json.dumps({"limit_bytes": limit, "text": text}).encode()
    return encoding.output_body(KernelMessage("truncated", "", content, b"{}"))
