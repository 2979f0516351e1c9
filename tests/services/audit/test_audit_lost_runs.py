"""A runtime that died in a run signs less than its clients saw: what it signed is proved, the rest is not kept, and nobody is accused."""

from spin_envelope.chain import OutputChain
from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.envelope.v1.receipt_pb2 import ReceiptType, RunStatus
from tests.fakes.audit_bench import WORKSPACE, AuditBench
from tests.fakes.runtimes import FakeRun, FakeRuntime


def lost(runtime: FakeRuntime, run: FakeRun, frames: int) -> bytes:
    """The end that the next boot signs, with the count of the last receipt before the death."""
    chain = OutputChain()
    chain.extend((1, body) for body in run.outputs[:frames])
    end = {"frames": frames, "output_digest": chain.digest, "status": RunStatus.RUN_STATUS_LOST}
    return runtime.receipt(ReceiptType.RECEIPT_TYPE_END, run, **end)


async def begun(bench: AuditBench) -> tuple[FakeRuntime, FakeRun]:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"one", b"two", b"three"])
    await bench.compile(run)
    await bench.upload(runtime, runtime.boot(), runtime.start(run))
    return runtime, run


async def stored(bench: AuditBench, run: FakeRun) -> list[bytes]:
    page = await bench.history.ListRunOutputs(pb.ListRunOutputsRequest(workspace_id=WORKSPACE, run_id=run.id), metadata=bench.owner)
    return [output.body for output in page.outputs]


async def test_outputs_that_came_before_the_end_are_cut_to_what_was_signed(bench: AuditBench) -> None:
    runtime, run = await begun(bench)
    assert await bench.upload_outputs(run) == 3
    await bench.upload(runtime, lost(runtime, run, 2))
    (told,) = await bench.runs()
    assert (told.status, told.frames, told.frames_stored, told.outputs_verified) == (RunStatus.RUN_STATUS_LOST, 2, 2, True)
    assert await stored(bench, run) == [b"one", b"two"]
    assert await bench.alarms(open_only=False) == []


async def test_outputs_that_come_after_the_end_are_taken_as_far_as_they_were_signed(bench: AuditBench) -> None:
    runtime, run = await begun(bench)
    await bench.upload(runtime, lost(runtime, run, 2))
    assert await bench.upload_outputs(run) == 2
    assert await bench.upload_outputs(run, run.outputs[2:], first=3) == 2
    (told,) = await bench.runs()
    assert told.outputs_verified and await stored(bench, run) == [b"one", b"two"]


async def test_changed_outputs_of_a_lost_run_are_still_found(bench: AuditBench) -> None:
    runtime, run = await begun(bench)
    await bench.upload_outputs(run, [b"one", b"2", b"three"])
    await bench.upload(runtime, lost(runtime, run, 2))
    assert await bench.alarms() == ["outputs.mismatch"]
