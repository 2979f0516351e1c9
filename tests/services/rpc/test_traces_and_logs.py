"""One trace through services, spans only where they are wanted, and logs without secrets."""

import asyncio
import json
from concurrent import futures
from dataclasses import replace
from typing import Any

import grpc
import pytest
import structlog
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from spin_services.rpc import telemetry
from spin_services.rpc.trace import continued, current_trace
from tests.fakes.installation import Installation, free_ports

USER, TRACE, PARENT = "b2" * 16, "ab" * 16, "cd" * 8


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: list[Any] = []

    def Export(self, request: Any, context: Any) -> Any:
        self.spans += [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector(installation: Installation) -> Any:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    found = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(found, server)
    port = free_ports(1)[0]
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    telemetry.configure(replace(installation.platform, otlp_endpoint=f"http://127.0.0.1:{port}"), "test")
    yield found
    telemetry.shut_down()
    server.stop(None)
    structlog.reset_defaults()


async def test_a_sampled_call_is_a_span_of_its_callers_trace(served: Any, installation: Installation, collector: Collector) -> None:
    async def inner() -> None:
        with telemetry.span("a step"):
            await asyncio.sleep(0)

    served.probe.behaviour = inner
    await served.list((*installation.as_user(USER), ("traceparent", f"00-{TRACE}-{PARENT}-01")))
    await served.list((*installation.as_user(USER), ("traceparent", f"00-{'ef' * 16}-{PARENT}-00")))
    await asyncio.to_thread(telemetry.shut_down)
    spans = {span.name: span for span in collector.spans}
    call, step = spans["/spinapis.compiler.v1.CompilerService/ListCellTypes"], spans["a step"]
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, PARENT)
    assert (step.trace_id.hex(), step.parent_span_id) == (TRACE, call.span_id)
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}


async def test_the_trace_goes_on_in_calls_to_peers(served: Any, installation: Installation) -> None:
    seen: list[Any] = []
    wiring = installation.wiring("secrets")

    async def note() -> None:
        seen.append((current_trace(), dict(wiring.peers.metadata("auth"))))

    served.probe.behaviour = note
    await served.list((*installation.as_user(USER), ("traceparent", f"00-{TRACE}-{PARENT}-00")))
    ((trace, metadata),) = seen
    assert (trace.trace_id, trace.parent_id) == (TRACE, PARENT)
    assert metadata["traceparent"] == f"00-{TRACE}-{trace.span_id}-00"
    assert metadata["authorization"].startswith("Bearer eyJ") and metadata["x-spin-service"].startswith("Bearer eyJ")
    await wiring.close()


@pytest.mark.parametrize("header", [None, "", "00-zz-zz-01", f"00-{'0' * 32}-{PARENT}-01", f"01-{TRACE}-{PARENT}-01", "x" * 500])
def test_a_broken_header_starts_a_new_trace(header: str | None) -> None:
    trace = continued(header, 0.0)
    assert len(trace.trace_id) == 32 and trace.trace_id != TRACE and trace.parent_id == ""


def test_new_traces_are_sampled_by_the_ratio() -> None:
    assert not any(continued(None, 0.0).sampled for _ in range(200))
    assert all(continued(None, 1.0).sampled for _ in range(200))
    assert 300 < sum(continued(None, 0.5).sampled for _ in range(1000)) < 700


def test_logs_are_json_lines_without_secrets(installation: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure(installation.platform, "test")
    try:
        structlog.get_logger("a fresh logger").info("signed_in", user_id="u1", access_token="eyJ.secret", password="hunter2")
    finally:
        structlog.reset_defaults()
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["user_id"], entry["level"]) == ("signed_in", "u1", "info")
    assert "eyJ" not in line and "hunter2" not in line
