"""Each reading of a secret's value is in the log: from the receipts, once for each run and connection, and however a browser brings them."""

import orjson
import pytest

from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.envelope.v1.receipt_pb2 import LogLeaf, OperationCount, ReceiptType, RunStatus
from tests.fakes.audit_bench import AuditBench
from tests.fakes.installation import refused
from tests.fakes.runtimes import FakeRun, FakeRuntime

SALT, PEPPER = b"\x0a" * 16, b"\x0b" * 16


def read(count: int, connection: bytes = SALT) -> OperationCount:
    return OperationCount(connection_id=connection, operation="secret.read", count=count)


def progress(runtime: FakeRuntime, run: FakeRun, *operations: OperationCount) -> bytes:
    return runtime.receipt(ReceiptType.RECEIPT_TYPE_PROGRESS, run, output_digest=bytes(32), operations=operations)


async def exposures(bench: AuditBench) -> list[tuple[str, str, int]]:
    """(run, connection, count) of each entry, oldest first."""
    bodies = [orjson.loads(entry.body_json) for entry in await bench.entries(type="secret.exposed")]
    return sorted((body["run_id"], body["connection_id"], body["count"]) for body in bodies)


async def test_two_runs_are_two_entries_and_one_that_read_nothing_is_none(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    runs = [FakeRun(runtime, seq) for seq in (1, 2, 3)]
    for run, count in zip(runs, (1, 1, 0), strict=True):
        await bench.compile(run)
        denied = OperationCount(connection_id=SALT, operation="secret.read", denied=4)
        operations = [read(count)] if count else [denied]
        brought = [progress(runtime, run, *operations)] if count else []
        await bench.upload(runtime, runtime.start(run), *brought, runtime.end(run, operations=operations))
    assert await exposures(bench) == [(run.id, SALT.hex(), 1) for run in runs[:2]]
    (entry, _) = await bench.entries(type="secret.exposed")
    body = orjson.loads(entry.body_json)
    assert (body["cell_id"], body["session_id"], body["workspace_id"]) == ("c1", runs[0].session_id.hex(), "ab" * 16)
    assert entry.user_id == "owner"
    subjects = set(LogLeaf.FromString(entry.leaf).subjects)
    assert {f"connection:{SALT.hex()}", f"session:{runs[0].session_id.hex()}", f"runtime:{runtime.runtime_id}"} <= subjects
    (found,) = await bench.entries(subject=f"run:{runs[0].id}", type="secret.exposed")
    assert found.index in [entry.index for entry in await bench.entries(subject=f"connection:{SALT.hex()}")]


async def test_counts_of_one_run_add_up_over_its_receipts(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1)
    await bench.compile(run)
    receipts = [runtime.start(run), progress(runtime, run, read(1)), progress(runtime, run, read(1), read(1, PEPPER))]
    receipts.append(runtime.end(run, operations=[read(5), read(1, PEPPER)]))
    for receipt in receipts:
        await bench.upload(runtime, receipt)
        await bench.upload(runtime, receipt)
    assert await exposures(bench) == [(run.id, SALT.hex(), 1), (run.id, SALT.hex(), 4), (run.id, PEPPER.hex(), 1)]
    (told,) = await bench.runs()
    assert [(one.operation, one.count) for one in told.operations] == [("secret.read", 5), ("secret.read", 1)]


async def test_a_reading_shows_before_the_run_ends_and_when_it_is_lost(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1)
    await bench.compile(run)
    await bench.upload(runtime, runtime.start(run), progress(runtime, run, read(1)))
    assert await exposures(bench) == [(run.id, SALT.hex(), 1)]
    await bench.upload(runtime, runtime.end(run, RunStatus.RUN_STATUS_LOST, operations=[read(1)]))
    assert await exposures(bench) == [(run.id, SALT.hex(), 1)]


async def test_a_reading_by_a_program_that_nobody_logged_is_in_the_log_all_the_same(bench: AuditBench) -> None:
    """A stolen compiler key made it: the alarm says so, and what it read is no secret of its own."""
    runtime = await bench.enrol()
    run, forged = FakeRun(runtime, 1), FakeRun(runtime, 1)
    await bench.compile(run)
    await bench.upload(runtime, runtime.start(forged), runtime.end(forged, operations=[read(2)]))
    assert "receipt.unknown_program" in await bench.alarms()
    assert await exposures(bench) == [(run.id, SALT.hex(), 2)]


@pytest.mark.parametrize("service", ["compiler", "secrets", "auth", "workspace"])
async def test_nobody_else_writes_such_an_entry(bench: AuditBench, service: str) -> None:
    with refused() as refusal:
        await bench.append(pb.NewEntry(type="secret.exposed", body_json="{}"), service=service)
    assert refusal.reason == "PERMISSION_DENIED"
