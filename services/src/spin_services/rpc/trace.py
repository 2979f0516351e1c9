"""The trace that a call belongs to (W3C Trace Context), carried in metadata and written into every log line.

Rules: whether a trace is sampled is decided before any span object is built; an unsampled call costs an id and nothing more.
"""

import random
import re
from contextvars import ContextVar
from dataclasses import dataclass

TRACEPARENT = "traceparent"
# Ids of traces are names, not secrets, and drawn for every call.
_ids = random.Random()  # noqa: S311
_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True)
class Trace:
    trace_id: str
    span_id: str
    sampled: bool
    parent_id: str = ""

    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self) -> "Trace":
        return Trace(self.trace_id, _span_id(), self.sampled, self.span_id)


def _span_id() -> str:
    return f"{_ids.getrandbits(64) or 1:016x}"


_current: ContextVar[Trace | None] = ContextVar("spin_trace", default=None)


def current_trace() -> Trace | None:
    return _current.get()


def set_trace(trace: Trace) -> None:
    _current.set(trace)


def continued(traceparent: str | None, ratio: float) -> Trace:
    """The caller's trace, or a new one that is sampled by chance."""
    match = _FORM.fullmatch(traceparent or "")
    if match and match[1] != "0" * 32 and match[2] != "0" * 16:
        return Trace(match[1], _span_id(), bool(int(match[3], 16) & 1), match[2])
    number = _ids.getrandbits(128) or 1
    # The low 56 bits decide, as in W3C's random trace ids, so that every service would decide alike.
    sampled = (number & ((1 << 56) - 1)) < ratio * (1 << 56)
    return Trace(f"{number:032x}", _span_id(), sampled)
