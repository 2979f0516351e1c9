"""Metrics and traces of the runtime. None of them holds code, outputs, tokens or keys."""

from collections.abc import Callable

from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = Gauge("spin_runtime_connections", "Attached clients.", registry=self.registry)
        self.runs = Counter("spin_runtime_runs", "Runs that ended, by status.", ["status"], registry=self.registry)
        self.outputs = Counter("spin_runtime_outputs", "Outputs of runs that ended.", registry=self.registry)
        self._sessions = Gauge("spin_runtime_sessions", "Sessions that have a stream.", registry=self.registry)
        self._memory = Gauge("spin_runtime_stream_memory_bytes", "Frames held in memory, over all sessions.", registry=self.registry)

    def watch_sessions(self, count: Callable[[], int], memory: Callable[[], int]) -> None:
        self._sessions.set_function(count)
        self._memory.set_function(memory)


def tracer(endpoint: str, ratio: float) -> Tracer | None:
    """Spans go to an OTLP collector; without one there are none. The exporter's import is slow, so it comes only when needed."""
    if not endpoint:
        return None
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(ratio), resource=Resource.create({"service.name": "spin-runtime"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://"))))
    return provider.get_tracer("spin_runtime")
