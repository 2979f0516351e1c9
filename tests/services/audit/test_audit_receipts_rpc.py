"""Receipts and outputs over gRPC: what an honest browser brings, and what a dishonest one cannot hide."""

import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.signing import sign, unverified
from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.envelope.v1.receipt_pb2 import Receipt, ReceiptAck, ReceiptType, RunStatus
from spinapis.runtime.v1.frames_pb2 import Output
from tests.fakes.audit_bench import WORKSPACE, AuditBench
from tests.fakes.installation import refused
from tests.fakes.runtimes import FakeRun, FakeRuntime


async def finished(bench: AuditBench, runtime: FakeRuntime, run: FakeRun) -> None:
    await bench.compile(run)
    await bench.upload(runtime, runtime.start(run), runtime.end(run))


async def test_a_run_is_told_from_compilation_to_verified_outputs(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"one", b"two", b"three"])
    await bench.compile(run)
    await bench.upload(runtime, runtime.boot(), runtime.start(run))
    assert await bench.upload_outputs(run, run.outputs[:2]) == 2
    await bench.upload(runtime, runtime.end(run))
    assert await bench.upload_outputs(run, run.outputs[2:], first=3) == 3
    (told,) = await bench.runs()
    assert (told.id, told.frames, told.frames_stored, told.outputs_verified) == (run.id, 3, 3, True)
    assert (told.status, told.user_id, told.cell_id, told.program_digest) == (RunStatus.RUN_STATUS_OK, "owner", "c1", run.program_digest)
    assert list(told.entry_indexes) == [1, 3, 4] and told.compiled_at_ms > 0 and 0 < told.started_at_ms <= told.ended_at_ms
    page = await bench.history.ListRunOutputs(pb.ListRunOutputsRequest(workspace_id=WORKSPACE, run_id=run.id), metadata=bench.owner)
    assert [output.body for output in page.outputs] == run.outputs and not page.expired
    assert await bench.alarms(open_only=False) == []
    for session in ("", run.session_id.hex()):
        summary = await bench.verified_export(session)
        assert (summary.receipts, summary.receipts_unproved) == (3 if not session else 2, 0)


async def test_the_acknowledgement_says_what_is_durable_and_is_signed_by_audit(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    first, second = runtime.boot(), runtime.receipt(ReceiptType.RECEIPT_TYPE_KERNEL, reason="python3 started")
    ack = bench.installation.keys.root().verify(await bench.upload(runtime, first, second), ReceiptAck, bench.installation.clock()).message
    assert (ack.workspace_id.hex(), ack.runtime_id.hex(), ack.up_to_seq, ack.digest) == (WORKSPACE, runtime.runtime_id, 2, signed_digest(second))
    again = unverified(await bench.upload(runtime, first, second), ReceiptAck)
    assert again.up_to_seq == 2
    assert len(await bench.entries(type="receipt.")) == 2


async def test_a_hidden_receipt_raises_an_alarm_until_someone_brings_it(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    receipts = [runtime.boot(), *(runtime.receipt(ReceiptType.RECEIPT_TYPE_KERNEL) for _ in range(4))]
    ack = unverified(await bench.upload(runtime, receipts[0], receipts[3], receipts[4]), ReceiptAck)
    assert ack.up_to_seq == 1 and await bench.alarms() == ["receipt.gap"]
    assert unverified(await bench.upload(runtime, receipts[1]), ReceiptAck).up_to_seq == 2
    assert unverified(await bench.upload(runtime, receipts[2]), ReceiptAck).up_to_seq == 5
    assert await bench.alarms() == [] and "receipt.gap" in await bench.alarms(open_only=False)
    summary = await bench.verified_export()
    assert (summary.receipts, summary.receipt_breaks) == (5, 0)
    assert {entry.body_json.count("receipt.gap") for entry in await bench.entries(type="alarm.")} == {1}


async def test_a_second_history_is_a_fork_that_stays_on_record(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    first = runtime.boot()
    copy = FakeRuntime(bench.installation.keys, WORKSPACE)
    copy.runtime_id, copy.identity = runtime.runtime_id, runtime.identity
    await bench.upload(runtime, first, runtime.receipt(ReceiptType.RECEIPT_TYPE_KERNEL))
    with refused() as refusal:
        await bench.upload(runtime, copy.boot())
    assert refusal.reason == "RECEIPT_CONFLICT" and refusal.error is not None and refusal.error.metadata["receipt_seq"] == "1"
    assert await bench.alarms() == ["receipt.fork"]
    copy.receipts, copy.prev_digest = [b"", b""], bytes(32)
    with refused() as refusal:
        await bench.upload(runtime, copy.receipt(ReceiptType.RECEIPT_TYPE_KERNEL))
    assert refusal.reason == "RECEIPT_CONFLICT" and await bench.alarms() == ["receipt.fork", "receipt.fork"]
    assert unverified(await bench.upload(runtime, runtime.receipt(ReceiptType.RECEIPT_TYPE_KERNEL)), ReceiptAck).up_to_seq == 3


async def test_a_program_that_was_never_logged_raises_an_alarm(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1)
    await bench.upload(runtime, runtime.start(run), runtime.end(run))
    assert await bench.alarms() == ["receipt.unknown_program"]
    (told,) = await bench.runs()
    assert told.id == run.id and told.compiled_at_ms == 0


async def test_a_run_that_swaps_the_program_raises_an_alarm_and_changes_nothing(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1)
    await bench.compile(run)
    await bench.upload(runtime, runtime.receipt(ReceiptType.RECEIPT_TYPE_START, run, program_digest=b"\x66" * 32))
    assert await bench.alarms() == ["receipt.unknown_program"]
    assert (await bench.runs())[0].started_at_ms == 0


async def test_receipts_of_another_runtime_are_refused(bench: AuditBench) -> None:
    mine, other = await bench.enrol(), await bench.enrol()
    with refused() as refusal:
        await bench.upload(mine, other.boot())
    assert refusal.reason == "SIGNATURE_INVALID"
    forged = FakeRuntime(bench.installation.keys, WORKSPACE)
    forged.runtime_id = mine.runtime_id
    with refused() as refusal:
        await bench.upload(mine, forged.boot())
    assert refusal.reason == "SIGNATURE_INVALID"
    relabelled = unverified(other.boot(), Receipt)
    with refused() as refusal:
        await bench.upload(mine, sign(relabelled, mine.identity))
    assert refusal.reason == "RECEIPT_CONFLICT"
    assert await bench.entries(type="receipt.") == []


async def test_a_grant_that_auth_did_not_sign_makes_no_runtime(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    runtime.enrol_grant = bench.enrolment.add().enrol_grant[:-1] + b"\0"
    with refused() as refusal:
        await bench.upload(runtime, runtime.boot())
    assert refusal.reason == "SIGNATURE_INVALID"


async def test_a_root_that_expires_while_auth_is_asked_is_told_as_that(bench: AuditBench) -> None:
    runtime, clock = await bench.enrol(), bench.installation.clock
    bench.enrolment.meanwhile = lambda: clock.advance((bench.installation.keys.newest().expires_at_ms - clock()) // 1000 + 1)
    with refused() as refusal:
        await bench.upload(runtime, runtime.boot())
    assert refusal.reason == "ROOT_EXPIRED"


async def test_wrong_outputs_are_thrown_away_and_the_true_ones_still_count(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"the truth", b"all of it"])
    await finished(bench, runtime, run)
    with refused() as refusal:
        await bench.upload_outputs(run, [b"a lie", b"all of it"])
    assert refusal.reason == "OUTPUT_CHAIN_MISMATCH" and await bench.alarms() == ["outputs.mismatch"]
    assert (await bench.runs())[0].frames_stored == 0
    assert await bench.upload_outputs(run) == 2
    assert (await bench.runs())[0].outputs_verified and await bench.alarms() == []


def together(*runs: FakeRun) -> pb.UploadOutputsRequest:
    """One call with the outputs of them all."""
    told = [
        pb.RunOutputs(nonce=run.nonce, outputs=[Output(index=place, kind=1, body=body) for place, body in enumerate(run.outputs, 1)]) for run in runs
    ]
    first, *more = told
    return pb.UploadOutputsRequest(workspace_id=WORKSPACE, runtime_id=runs[0].runtime.runtime_id, nonce=first.nonce, outputs=first.outputs, more=more)


async def test_outputs_of_several_runs_come_in_one_call(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    ended, running, silent = FakeRun(runtime, 1, [b"one", b"two"]), FakeRun(runtime, 2, [b"three"]), FakeRun(runtime, 3, [])
    for run in (ended, running, silent):
        await bench.compile(run)
    await bench.upload(runtime, runtime.boot(), runtime.start(ended), runtime.end(ended), runtime.start(running))
    for _ in range(2):
        answer = await bench.history.UploadOutputs(together(ended, running, silent), metadata=bench.owner)
        assert (answer.stored, list(answer.more_stored)) == (2, [1, 0])
    assert {told.id: (told.frames_stored, told.outputs_verified) for told in await bench.runs()} == {
        ended.id: (2, True),
        running.id: (1, False),
        silent.id: (0, False),
    }
    await bench.upload(runtime, runtime.end(running))
    assert {told.id for told in await bench.runs() if told.outputs_verified} == {ended.id, running.id}


async def test_a_run_that_is_refused_changes_nothing_for_the_others_of_its_call(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    true, lied, after, unknown = (FakeRun(runtime, seq, [b"the truth"]) for seq in range(1, 5))
    await bench.upload(runtime, runtime.boot())
    for run in (true, lied, after):
        await finished(bench, runtime, run)
    lied.outputs = [b"a lie"]
    with refused() as refusal:
        await bench.history.UploadOutputs(together(true, lied, after), metadata=bench.owner)
    assert refusal.reason == "OUTPUT_CHAIN_MISMATCH" and await bench.alarms() == ["outputs.mismatch"]
    assert {told.id: told.outputs_verified for told in await bench.runs()} == {true.id: True, lied.id: False, after.id: True}
    lied.outputs = [b"the truth"]
    with refused() as refusal:
        await bench.history.UploadOutputs(together(lied, unknown), metadata=bench.owner)
    assert refusal.reason == "NOT_FOUND" and await bench.alarms() == []
    assert all(told.outputs_verified for told in await bench.runs())


async def test_a_call_names_each_run_once_and_not_too_many(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"one"])
    await bench.compile(run)
    with refused() as refusal:
        await bench.history.UploadOutputs(together(run, run), metadata=bench.owner)
    assert refusal.reason == "INVALID_ARGUMENT"
    with refused() as refusal:
        await bench.history.UploadOutputs(together(*(FakeRun(runtime, seq, []) for seq in range(1, 103))), metadata=bench.owner)
    assert refusal.reason == "TOO_LARGE"


async def test_a_quick_run_whose_receipts_travel_with_the_next_runs_start_keeps_its_outputs(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    quick, following = FakeRun(runtime, 1, [b"one"]), FakeRun(runtime, 2, [b"two"])
    await bench.compile(quick)
    await bench.compile(following)
    await bench.upload(runtime, runtime.boot(), runtime.start(quick), runtime.end(quick), runtime.start(following), runtime.end(following))
    assert await bench.upload_outputs(quick, quick.outputs) == 1
    assert await bench.upload_outputs(following, following.outputs) == 1
    assert [told.outputs_verified for told in await bench.runs()] == [True, True]
    assert await bench.alarms(open_only=False) == []


async def test_outputs_that_came_before_a_contradicting_end_are_thrown_away(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"the truth"])
    await bench.compile(run)
    assert await bench.upload_outputs(run, [b"a lie"]) == 1
    await bench.upload(runtime, runtime.start(run), runtime.end(run))
    assert await bench.alarms() == ["outputs.mismatch"] and (await bench.runs())[0].frames_stored == 0


@pytest.mark.parametrize(("bodies", "first"), [([b"other"], 1), ([b"one", b"two", b"three"], 1), ([b"extra"], 3)])
async def test_outputs_cannot_be_changed_or_added_after_they_were_verified(bench: AuditBench, bodies: list[bytes], first: int) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"one", b"two"])
    await finished(bench, runtime, run)
    assert await bench.upload_outputs(run) == 2
    assert await bench.upload_outputs(run) == 2
    with refused() as refusal:
        await bench.upload_outputs(run, bodies, first)
    assert refusal.reason == "OUTPUT_CHAIN_MISMATCH"
    told = (await bench.runs())[0]
    assert told.outputs_verified and told.frames_stored == 2


async def test_outputs_after_a_hole_wait_for_what_is_missing(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"1", b"2", b"3"])
    await bench.compile(run)
    assert await bench.upload_outputs(run, [b"3"], first=3) == 0
    assert await bench.upload_outputs(run) == 3


async def test_outputs_need_a_run_of_that_runtime(bench: AuditBench) -> None:
    runtime, other = await bench.enrol(), await bench.enrol()
    run = FakeRun(runtime, 1, [b"1"])
    with refused() as refusal:
        await bench.upload_outputs(run)
    assert refusal.reason == "NOT_FOUND"
    await bench.compile(run)
    run.runtime = other
    with refused() as refusal:
        await bench.upload_outputs(run)
    assert refusal.reason == "NOT_FOUND"


async def test_a_long_run_is_read_in_pages_that_fit_a_message(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [bytes([place]) * 1_500_000 for place in range(5)])
    await bench.compile(run)
    for place, body in enumerate(run.outputs):
        await bench.upload_outputs(run, [body], first=place + 1)
    bodies, token, pages = [], "", 0
    while not pages or token:
        request = pb.ListRunOutputsRequest(workspace_id=WORKSPACE, run_id=run.id, page_token=token)
        page = await bench.history.ListRunOutputs(request, metadata=bench.owner)
        bodies += [output.body for output in page.outputs]
        token, pages = page.next_page_token, pages + 1
    assert bodies == run.outputs and pages == 3
