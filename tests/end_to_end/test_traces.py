"""One trace from the click to the kernel: client, gateway, compiler, auth, audit and runtime all say the same trace id."""

from opentelemetry import trace

from spin_client.sdk import Platform, RunState, RuntimeSession
from spin_client.sdk.tracing import operation, trace_id
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.history import until
from tests.fakes.otlp_sink import OtlpSink, Span

WAY = {
    ("spin-gateway", ""),
    ("spin-all", "/spinapis.compiler.v1.CompilerService/CompileCell"),
    ("spin-all", "/spinapis.auth.v1.GrantService/GrantRun"),
    ("spin-all", "/spinapis.audit.v1.LogService/AppendEntries"),
    ("spin-runtime", "runtime.run"),
}


def passed(spans: list[Span]) -> set[tuple[str, str]]:
    """The stations of the way that the spans show; the gateway names its spans by routes, which do not matter here."""
    return {(span.service, "" if span.service == "spin-gateway" else span.name) for span in spans}


async def ran(session: RuntimeSession, source: str) -> tuple[str, RunState]:
    """Runs a cell inside one operation of the client; its trace's id, and how the run ended."""
    with operation("click") as span:
        assert span.get_span_context().trace_flags == trace.TraceFlags.SAMPLED
        begun, events = trace_id(), [event async for event in session.run(notebooks_pb2.Cell(id="traced", cell_type="python", source=source))]
    assert isinstance(events[-1], RunState)
    return begun, events[-1]


async def test_one_trace_from_the_click_to_the_kernel(owner: Platform, session: notebooks_pb2.Session, collector: OtlpSink) -> None:
    async with await RuntimeSession.of(owner, session) as opened:
        click, end = await ran(opened, "print('traced')")
    assert end.ok

    async def whole() -> bool:
        return passed(collector.of_trace(click)) >= WAY

    await until(whole, 30)
    spans = {span.name: span for span in collector.of_trace(click)}
    known = {span.span_id for span in spans.values()}
    run, compile_cell = spans["runtime.run"], spans["/spinapis.compiler.v1.CompilerService/CompileCell"]
    assert run.attributes["spin.cell_id"] == "traced"
    assert run.attributes["spin.run_status"] == "ok"
    # What the compiler asks of others hangs under its own span.
    for called in ("/spinapis.auth.v1.GrantService/GrantRun", "/spinapis.audit.v1.LogService/AppendEntries"):
        assert spans[called].parent_id in known
        assert spans[called].parent_id == compile_cell.span_id


async def test_a_trace_has_no_code_and_no_output(owner: Platform, session: notebooks_pb2.Session, collector: OtlpSink) -> None:
    async with await RuntimeSession.of(owner, session) as opened:
        click, _ = await ran(opened, "secret_name = 'secret-' + 'value'; print(secret_name)")

    async def there() -> bool:
        return ("spin-runtime", "runtime.run") in passed(collector.of_trace(click))

    await until(there, 30)
    text = str(collector.of_trace(click))
    assert "secret_name" not in text and "secret-value" not in text


async def test_two_runs_are_two_traces(owner: Platform, workspace: workspaces_pb2.Workspace, session: notebooks_pb2.Session) -> None:
    async with await RuntimeSession.of(owner, session) as opened:
        first, _ = await ran(opened, "1")
        second, _ = await ran(opened, "2")
    assert first != second
