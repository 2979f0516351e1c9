"""What time brings to light: receipts and outputs that a browser keeps to itself, and outputs past their retention."""

from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.envelope.v1.receipt_pb2 import ReceiptType
from tests.fakes.audit_bench import WORKSPACE, AuditBench
from tests.fakes.runtimes import FakeRun

GRACE_S = 901


async def test_a_browser_that_hides_all_receipts_of_a_run_is_noticed(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1)
    await bench.compile(run)
    hidden = [runtime.boot(), runtime.start(run), runtime.end(run)]
    bench.installation.clock.advance(GRACE_S)
    await bench.alarms_become("receipt.end_missing")
    await bench.upload(runtime, *hidden)
    assert await bench.alarms() == [] and await bench.alarms(open_only=False) == ["receipt.end_missing"]


async def test_a_run_that_never_ends_is_noticed_and_its_late_end_clears_it(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1)
    await bench.compile(run)
    await bench.upload(runtime, runtime.start(run))
    bench.installation.clock.advance(600)
    await bench.upload(runtime, runtime.receipt(ReceiptType.RECEIPT_TYPE_PROGRESS, run))
    bench.installation.clock.advance(600)
    assert await bench.alarms() == [], "a run that was heard of is not overdue"
    bench.installation.clock.advance(GRACE_S)
    await bench.alarms_become("receipt.end_missing")
    await bench.upload(runtime, runtime.end(run))
    assert await bench.alarms() == []


async def test_outputs_that_nobody_uploads_are_noticed(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"embarrassing", b"truth"])
    await bench.compile(run)
    await bench.upload(runtime, runtime.start(run), runtime.end(run))
    await bench.upload_outputs(run, run.outputs[:1])
    bench.installation.clock.advance(GRACE_S)
    await bench.alarms_become("outputs.missing")
    await bench.upload_outputs(run)
    assert await bench.alarms() == []


async def test_a_program_that_the_runtime_never_got_is_not_held_against_it(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    await bench.upload(runtime, runtime.boot())
    dropped, ran, last_boot = FakeRun(runtime, 1), FakeRun(runtime, 2), FakeRun(runtime, 3)
    for run in (dropped, ran, last_boot):
        await bench.compile(run)
    await bench.upload(runtime, runtime.start(ran), runtime.end(ran))
    bench.installation.clock.advance(GRACE_S)
    await bench.alarms_become("receipt.end_missing")
    await bench.upload(runtime, runtime.boot())
    assert await bench.alarms() == []
    raised = await bench.history.ListAlarms(pb.ListAlarmsRequest(workspace_id=WORKSPACE), metadata=bench.owner)
    assert [alarm.run_id for alarm in raised.alarms] == [last_boot.id]


async def test_expired_outputs_are_gone_and_their_proofs_stay(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"old", b"older"])
    await bench.compile(run)
    await bench.upload(runtime, runtime.boot(), runtime.start(run), runtime.end(run))
    await bench.upload_outputs(run)
    bench.installation.clock.advance(91 * 86_400)
    request = pb.ListRunOutputsRequest(workspace_id=WORKSPACE, run_id=run.id)
    while not (page := await bench.history.ListRunOutputs(request, metadata=bench.owner)).expired:
        pass
    assert not page.outputs and not page.next_page_token
    (told,) = await bench.runs()
    assert told.outputs_verified and told.frames == 2
    assert (await bench.verified_export()).receipts == 3
    assert await bench.alarms(open_only=False) == []
    assert len(await bench.entries(type="outputs.expired")) == 1
    assert await bench.upload_outputs(run) == 2, "what has expired is not asked for again"
