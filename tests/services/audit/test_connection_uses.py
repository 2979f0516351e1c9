"""When connections were last used: out of receipts, for the run's workspace and those above, and for nobody else."""

from typing import Any

import pytest

from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.envelope.v1.receipt_pb2 import OperationCount
from tests.fakes.audit_bench import OWNER, AuditBench
from tests.fakes.audit_bench import WORKSPACE as PARENT
from tests.fakes.installation import refused
from tests.fakes.runtimes import FakeRun, FakeRuntime

CHILD, STRANGER = "c1" * 16, "7e" * 16
CONNECTION, OTHER = b"\x11" * 16, b"\x22" * 16
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
async def runtime(bench: AuditBench) -> FakeRuntime:
    bench.workspaces.parents[CHILD] = PARENT
    for workspace_id in (CHILD, STRANGER):
        bench.access.roles[OWNER, workspace_id] = MemberRole.MEMBER_ROLE_OWNER
    made = await bench.enrol()
    await bench.upload(made, made.boot())
    return made


def count(connection_id: bytes = CONNECTION, count: int = 1, denied: int = 0) -> OperationCount:
    return OperationCount(connection_id=connection_id, operation="rest.request", count=count, denied=denied)


async def ran(bench: AuditBench, runtime: FakeRuntime, seq: int, at_ms: int, *operations: OperationCount, workspace_id: str = PARENT) -> None:
    run = FakeRun(runtime, seq)
    await bench.compile(run, workspace_id=workspace_id)
    await bench.upload(runtime, runtime.start(run), runtime.end(run, operations=operations, time_ms=at_ms))


async def uses(bench: AuditBench, *connection_ids: bytes, workspace_id: str = PARENT, service: str = "secrets") -> dict[bytes, int]:
    request = pb.GetLastUsesRequest(workspace_id=workspace_id, connection_ids=[one.hex() for one in connection_ids or (CONNECTION, OTHER)])
    answer = await bench.history.GetLastUses(request, metadata=bench.service(service))
    return {bytes.fromhex(one.connection_id): one.used_at_ms for one in answer.last_uses}


async def test_the_last_run_that_used_it_counts(bench: AuditBench, runtime: FakeRuntime) -> None:
    now_ms = bench.installation.clock()
    await ran(bench, runtime, 1, now_ms - 5 * DAY_MS, count(), count(OTHER))
    await ran(bench, runtime, 2, now_ms - 3 * DAY_MS, count())
    await ran(bench, runtime, 3, now_ms - 4 * DAY_MS, count())
    assert await uses(bench) == {CONNECTION: now_ms - 3 * DAY_MS, OTHER: now_ms - 5 * DAY_MS}
    assert await uses(bench, OTHER) == {OTHER: now_ms - 5 * DAY_MS}


async def test_what_was_only_denied_was_not_used(bench: AuditBench, runtime: FakeRuntime) -> None:
    await ran(bench, runtime, 1, bench.installation.clock(), count(count=0, denied=3), count(b"", 7), count(b"short", 1))
    assert await uses(bench) == {}


async def test_a_child_uses_its_parents_connection(bench: AuditBench, runtime: FakeRuntime) -> None:
    at_ms = bench.installation.clock() - DAY_MS
    await ran(bench, runtime, 1, at_ms, count(), workspace_id=CHILD)
    assert await uses(bench) == await uses(bench, workspace_id=CHILD) == {CONNECTION: at_ms}
    assert await uses(bench, workspace_id=STRANGER) == {}


async def test_a_parents_run_is_no_use_in_the_child(bench: AuditBench, runtime: FakeRuntime) -> None:
    await ran(bench, runtime, 1, bench.installation.clock(), count())
    assert await uses(bench, workspace_id=CHILD) == {}


async def test_receipts_that_waited_for_a_gap_count_too(bench: AuditBench, runtime: FakeRuntime) -> None:
    at_ms, run = bench.installation.clock() - DAY_MS, FakeRun(runtime, 1)
    await bench.compile(run, workspace_id=CHILD)
    start, end = runtime.start(run), runtime.end(run, operations=[count()], time_ms=at_ms)
    await bench.upload(runtime, end)
    assert await uses(bench) == {}
    await bench.upload(runtime, start)
    assert await uses(bench) == await uses(bench, workspace_id=CHILD) == {CONNECTION: at_ms}


async def test_a_runtimes_clock_leads_nowhere_beyond_now(bench: AuditBench, runtime: FakeRuntime) -> None:
    await ran(bench, runtime, 1, bench.installation.clock() + 400 * DAY_MS, count())
    (at_ms,) = (await uses(bench)).values()
    assert at_ms <= bench.installation.clock()


async def test_a_program_that_was_never_logged_used_nothing(bench: AuditBench, runtime: FakeRuntime) -> None:
    run = FakeRun(runtime, 1)
    await bench.upload(runtime, runtime.start(run), runtime.end(run, operations=[count()]))
    assert await uses(bench) == {} and await bench.alarms() == ["receipt.unknown_program"]


async def test_receipts_of_a_deleted_workspace_are_taken(bench: AuditBench, runtime: FakeRuntime) -> None:
    bench.workspaces.gone.add(CHILD)
    at_ms = bench.installation.clock() - DAY_MS
    await ran(bench, runtime, 1, at_ms, count(), workspace_id=CHILD)
    assert await uses(bench) == await uses(bench, workspace_id=CHILD) == {CONNECTION: at_ms}


async def test_only_secrets_asks(bench: AuditBench, runtime: FakeRuntime) -> None:
    for service in ("compiler", "auth"):
        with refused() as refusal:
            await uses(bench, service=service)
        assert refusal.reason == "SERVICE_ONLY"
    with refused() as refusal:
        request: Any = pb.GetLastUsesRequest(workspace_id=PARENT, connection_ids=["11" * 16])
        await bench.history.GetLastUses(request, metadata=bench.owner)
    assert refusal.reason == "SERVICE_ONLY"
    with refused() as refusal:
        await uses(bench, *[place.to_bytes(16) for place in range(501)])
    assert refusal.metadata["field"] == "connection_ids"
