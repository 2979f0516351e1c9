"""A replay is refused by the runtime, and its REJECT names the nonce of the run that it replays. That run's history must stay as it was."""

from spinapis.envelope.v1.receipt_pb2 import ReceiptType, RunStatus
from tests.fakes.audit_bench import AuditBench
from tests.fakes.runtimes import FakeRun, FakeRuntime


def replayed(runtime: FakeRuntime, run: FakeRun) -> bytes:
    return runtime.receipt(ReceiptType.RECEIPT_TYPE_REJECT, run, reason="REPLAY_REFUSED")


async def test_a_replay_of_a_run_that_was_fine_does_not_rewrite_it(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"one"])
    await bench.compile(run)
    await bench.upload(runtime, runtime.boot(), runtime.start(run), runtime.end(run))
    await bench.upload_outputs(run)
    (before,) = await bench.runs()
    await bench.upload(runtime, replayed(runtime, run))
    (after,) = await bench.runs()
    assert after == before and after.outputs_verified and not after.reject_reason
    (entry,) = await bench.entries(type="receipt.reject")
    assert "REPLAY_REFUSED" in entry.body_json, "the attempt itself stays in the log"
    assert (await bench.verified_export()).receipts == 4


async def test_a_replay_during_a_run_neither_ends_it_nor_buys_it_time(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"one"])
    await bench.compile(run)
    await bench.upload(runtime, runtime.start(run))
    bench.installation.clock.advance(890)
    await bench.upload(runtime, replayed(runtime, run))
    (told,) = await bench.runs()
    assert (told.ended_at_ms, told.reject_reason) == (0, "")
    bench.installation.clock.advance(30)
    await bench.alarms_become("receipt.end_missing")
    await bench.upload(runtime, runtime.end(run))
    (told,) = await bench.runs()
    assert told.status == RunStatus.RUN_STATUS_OK and not told.outputs_verified


async def test_a_replay_of_a_run_that_waits_does_not_outlive_its_start(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"one"])
    await bench.compile(run)
    await bench.upload(runtime, replayed(runtime, run))
    assert (await bench.runs())[0].reject_reason == "REPLAY_REFUSED"
    await bench.upload(runtime, runtime.start(run))
    (told,) = await bench.runs()
    assert (told.ended_at_ms, told.reject_reason) == (0, "") and told.started_at_ms
    await bench.upload(runtime, replayed(runtime, run), runtime.end(run))
    await bench.upload_outputs(run)
    (told,) = await bench.runs()
    assert (told.status, told.reject_reason, told.outputs_verified) == (RunStatus.RUN_STATUS_OK, "", True)


async def test_a_run_that_ends_without_a_start_takes_a_replays_rejection_back(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1)
    await bench.compile(run)
    await bench.upload(runtime, replayed(runtime, run), runtime.end(run, RunStatus.RUN_STATUS_ABORTED))
    (told,) = await bench.runs()
    assert (told.status, told.reject_reason) == (RunStatus.RUN_STATUS_ABORTED, "")


async def test_a_program_that_never_ran_is_told_as_rejected(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    sixth, seventh = FakeRun(runtime, 6), FakeRun(runtime, 7)
    await bench.compile(sixth)
    await bench.compile(seventh)
    await bench.upload(runtime, runtime.start(seventh), runtime.end(seventh), replayed(runtime, sixth))
    told = {run.nonce.seq: run for run in await bench.runs()}
    assert told[6].reject_reason == "REPLAY_REFUSED" and told[6].ended_at_ms and not told[7].reject_reason
