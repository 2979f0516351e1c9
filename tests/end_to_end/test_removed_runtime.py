"""A runtime that is removed stops at once where it can be reached, and its operator reads how to go on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, RunState, RuntimeSession, pairing, removal
from spin_client.sdk.replacement import replace_record
from spin_envelope.signing import unverified
from spinapis.auth.v1 import trust_pb2
from spinapis.envelope.v1 import receipt_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.extra_runtime import ExtraRuntime
from tests.fakes.hand_client import HandClient, new_session


@pytest.fixture
def runtime(running: RunningPlatform, tmp_path: Path) -> Iterator[ExtraRuntime]:
    made = ExtraRuntime(tmp_path, running.settings.service_port_base + 16)
    yield made
    made.stop()


async def test_a_removed_runtime_ends_what_runs_with_its_receipt(owner: Platform, runtime: ExtraRuntime) -> None:
    await runtime.pair(owner, "Sample")
    where = {"workspace_id": runtime.record.workspace_id, "runtime_id": runtime.record.id}
    async with await HandClient.attach(owner, await new_session(owner, **where)) as client:
        await client.start_kernel()
        await client.send(sealed=(await client.compile("import time; print('began', flush=True); time.sleep(600)")).sealed)
        started = (await client.next("run_state", lambda run: run.phase == frames_pb2.RUN_PHASE_RUNNING)).run_state
        await client.next("outputs")
        await owner.enrolment.RevokeRuntime(trust_pb2.RevokeRuntimeRequest(**where))
        assert await removal.tell(owner, runtime.record)
        told = await client.next("error", lambda error: error.reason == reasons_pb2.ERROR_REASON_RUNTIME_REVOKED)
        while not told.error.fatal:
            told = await client.next("error")
        carried = [unverified(data, receipt_pb2.Receipt) for frame in client.seen for data in frame.receipts.receipts]
        ended = [receipt.nonce for receipt in carried if receipt.type == receipt_pb2.RECEIPT_TYPE_END]
        assert started.nonce in ended
    assert "add it to the workspace anew" in runtime.log.read_text()


async def test_a_runtime_that_cannot_be_reached_is_not_said_to_have_stopped(owner: Platform, runtime: ExtraRuntime) -> None:
    await runtime.pair(owner, "Sample")
    assert runtime.stop() == 0
    await owner.enrolment.RevokeRuntime(trust_pb2.RevokeRuntimeRequest(workspace_id=runtime.record.workspace_id, runtime_id=runtime.record.id))
    assert not await removal.tell(owner, runtime.record)


async def test_a_runtime_that_lost_its_disk_is_replaced_under_its_name(owner: Platform, runtime: ExtraRuntime) -> None:
    """Its first token works no second time; the record of before stays removed, and the new one runs cells at the same address."""
    await runtime.pair(owner, "Sample")
    before, first = runtime.record, runtime.token
    async with await HandClient.attach(owner, await new_session(owner, before.workspace_id, before.id)) as client:
        await client.start_kernel()
        kept = (await client.compile("print('of before')")).sealed
    assert runtime.stop() == 0
    lost = runtime.home / "home"
    lost.rename(runtime.home / "lost")
    after = await replace_record(owner, before)
    assert after.id != before.id and (after.name, after.url) == (before.name, before.url)
    begun = await pairing.begin(owner, after)
    runtime.start(begun.token)
    fingerprint = await pairing.enrol(owner, begun, wait_s=60)
    await pairing.confirm(owner, after.workspace_id, after.id, fingerprint)
    session = await new_session(owner, after.workspace_id, after.id)
    async with await RuntimeSession.of(owner, session) as opened:
        cell = notebooks_pb2.Cell(id="anew", cell_type="python", source="print('anew')")
        states = [event async for event in opened.run(cell) if isinstance(event, RunState)]
        assert states[-1].ok, states[-1]
    async with await HandClient.attach(owner, session) as client:
        assert await client.outcome(kept) == "OPEN_FAILED"
    request = workspaces_pb2.ListRuntimesRequest(workspace_id=after.workspace_id)
    named = [one.id for one in (await owner.runtimes.ListRuntimes(request)).runtimes if one.name == after.name]
    assert named == [after.id]
    assert runtime.stop() == 0
    # Found again after all, the old disk opens with its own token alone, and the runtime on it is a removed one.
    lost.rename(runtime.home / "newer")
    (runtime.home / "lost").rename(lost)
    status, said = runtime.refused(begun.token)
    assert status != 0 and "var/broker" in said and begun.token not in said and first not in said
