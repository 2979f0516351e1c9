"""What is told of a run elsewhere: one span from its submission to its end, under the trace that the client began, and the counters."""

from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from spin_runtime.broker.api import Run
from spin_runtime.session.model import RunStatus
from spin_runtime.telemetry import Metrics
from spinapis.envelope.v1 import receipt_pb2

_PROPAGATOR = TraceContextTextMapPropagator()


class RunTraces:
    def __init__(self, tracer: Tracer | None, metrics: Metrics) -> None:
        self._tracer, self._metrics = tracer, metrics
        self._spans: dict[bytes, Span] = {}

    def begin(self, run: Run, traceparent: str) -> None:
        if self._tracer is None:
            return
        context = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
        attributes = {"spin.cell_id": run.cell_id, "spin.session_id": run.session_id.hex(), "spin.program_digest": run.program_digest.hex()}
        self._spans[run.program_digest] = self._tracer.start_span("runtime.run", context, kind=trace.SpanKind.SERVER, attributes=attributes)

    def executing(self, run: Run) -> None:
        if (span := self._spans.get(run.program_digest)) is not None:
            span.add_event("executing")

    def ended(self, run: Run, status: RunStatus, frames: int) -> None:
        name = receipt_pb2.RunStatus.Name(status).removeprefix("RUN_STATUS_").lower()
        self._metrics.runs.labels(name).inc()
        self._metrics.outputs.inc(frames)
        if (span := self._spans.pop(run.program_digest, None)) is None:
            return
        span.set_attributes({"spin.run_status": name, "spin.frames": frames})
        if status != receipt_pb2.RUN_STATUS_OK:
            span.set_status(StatusCode.ERROR)
        span.end()
