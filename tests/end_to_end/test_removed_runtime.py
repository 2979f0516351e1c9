"""A runtime that is removed stops at once where it can be reached, and its operator reads how to go on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, removal
from spin_envelope.signing import unverified
from spinapis.auth.v1 import trust_pb2
from spinapis.envelope.v1 import receipt_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
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
