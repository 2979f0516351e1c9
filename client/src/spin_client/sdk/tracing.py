"""One W3C trace per call or run.

With an OpenTelemetry SDK set up by the program, its spans are used. Without one, the API alone makes no ids, so random ones are made
here: the platform's traces then start at its door under an id that the client knows.
"""

import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)


@contextmanager
def operation(name: str) -> Iterator[trace.Span]:
    """A span that calls inside it belong to."""
    with trace.get_tracer("spin_client").start_as_current_span(name) as span:
        if span.get_span_context().is_valid:
            yield span
            return
        made = trace.NonRecordingSpan(_random_context())
        with trace.use_span(made):
            yield made


def outgoing_metadata() -> list[tuple[str, str]]:
    """traceparent (and tracestate) of the current span, or of a trace of its own for this call."""
    carrier: dict[str, str] = {}
    if trace.get_current_span().get_span_context().is_valid:
        _PROPAGATOR.inject(carrier)
    else:
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(trace.NonRecordingSpan(_random_context())))
    return list(carrier.items())


def traceparent() -> str:
    """Names the current span to whoever goes on with its trace; empty outside `operation`."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", "")


def trace_id() -> str:
    """The current trace's id in hexadecimal; empty outside `operation`."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def _random_context() -> trace.SpanContext:
    # Trace ids are names, not secrets, but children of a fork must not repeat their parent's.
    source: random.Random = secrets.SystemRandom()
    return trace.SpanContext(source.getrandbits(128) | 1, source.getrandbits(64) | 1, is_remote=False, trace_flags=_SAMPLED)
