"""Logs, metrics and traces of the runtime. None of them holds code, outputs, tokens or keys."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import structlog
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, Counter, Gauge


def configure_logs(log_format: str, level: str = "INFO") -> None:
    """One line per event on stderr: JSON, or text for a person's console."""
    console = log_format == "console"
    renderer: Any = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not console:
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries' own warnings, in the same place.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


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
