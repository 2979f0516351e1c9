"""Logs, spans and metrics of calls.

Rules: logs are one JSON object per line with the trace's ids, and never hold a token, a password or a key; spans exist for sampled
traces alone and only where an exporter is configured; metrics have a method and a code, never an id.
"""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from prometheus_client import Counter, Histogram, start_http_server

from spin_services.platform import Platform
from spin_services.rpc.trace import Trace, current_trace, set_trace

CALLS = Counter("spin_rpc_calls_total", "Calls served", ["method", "code"])
SECONDS = Histogram("spin_rpc_seconds", "Time of calls served", ["method"], buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30))
_HIDDEN = ("token", "secret", "password", "authorization", "api_key", "credential")


class _Spans:
    """The exporter's side; None until configured."""

    def __init__(self) -> None:
        self.provider: Any = None


_spans = _Spans()


def configure(platform: Platform, service: str) -> None:
    """Sets up logging, the span exporter and the metrics port. Once per process."""
    _configure_logs(platform)
    if platform.otlp_endpoint:
        _configure_spans(platform, service)
    if platform.metrics_port:
        try:
            start_http_server(platform.metrics_port, addr=platform.listen_host)
        except OSError as error:
            where = f"{platform.listen_host}:{platform.metrics_port}"
            raise RuntimeError(f"cannot serve metrics on {where}: {error.strerror}. SPIN_METRICS_PORT chooses another port, 0 none.") from None


def shut_down() -> None:
    """Sends the spans that wait."""
    if _spans.provider is not None:
        _spans.provider.shutdown()
        _spans.provider = None


@contextmanager
def span(name: str, trace: Trace | None = None, **attributes: str | int) -> Iterator[Trace]:
    """A step of the current trace, or a call's own when `trace` is given; free of cost when the trace is not sampled."""
    before = current_trace()
    current = trace or (before.child() if before else None)
    if current is None:
        yield Trace("0" * 32, "0" * 16, False)
        return
    set_trace(current)
    try:
        if current.sampled and _spans.provider is not None:
            with _recorded(name, current, attributes, is_call=trace is not None):
                yield current
        else:
            yield current
    finally:
        if before is not None:
            set_trace(before)


@contextmanager
def _recorded(name: str, current: Trace, attributes: dict[str, str | int], is_call: bool) -> Iterator[None]:
    from opentelemetry import trace as otel

    parent = otel.INVALID_SPAN
    if current.parent_id:
        flags = otel.TraceFlags(otel.TraceFlags.SAMPLED)
        parent = otel.NonRecordingSpan(otel.SpanContext(int(current.trace_id, 16), int(current.parent_id, 16), True, flags))
    _spans.provider.id_generator.chosen = (int(current.trace_id, 16), int(current.span_id, 16))
    tracer = _spans.provider.get_tracer("spin")
    kind = otel.SpanKind.SERVER if is_call else otel.SpanKind.INTERNAL
    started = tracer.start_span(name, context=otel.set_span_in_context(parent), kind=kind, attributes=attributes)
    try:
        yield
    except BaseException as error:
        started.set_status(otel.StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        started.end()


def _configure_spans(platform: Platform, service: str) -> None:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class ChosenIds(RandomIdGenerator):
        """Gives the ids that Trace chose already, because they have travelled in metadata by now."""

        chosen = (0, 0)

        def generate_trace_id(self) -> int:
            return self.chosen[0]

        def generate_span_id(self) -> int:
            return self.chosen[1]

    provider = TracerProvider(resource=Resource.create({"service.name": f"spin-{service}"}), id_generator=ChosenIds())
    exporter = OTLPSpanExporter(endpoint=platform.otlp_endpoint, insecure=not platform.otlp_endpoint.startswith("https"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _spans.provider = provider


def _configure_logs(platform: Platform) -> None:
    renderer: Any = structlog.processors.JSONRenderer() if platform.log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    shared: list[Any] = [_add_trace, structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True), _hide]
    level = getattr(logging, platform.log_level.upper())
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def _add_trace(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    trace = current_trace()
    if trace is not None:
        event.setdefault("trace_id", trace.trace_id)
        event.setdefault("span_id", trace.span_id)
    return event


def _hide(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A last net: fields that are named like a secret are not written, whoever logged them."""
    for key in event:
        if any(part in key.lower() for part in _HIDDEN):
            event[key] = "[hidden]"
    return event
