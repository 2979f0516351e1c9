"""A runtime that lost its disk gets a new identity under its old name, and the old one stays removed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, RunState, RuntimeSession, pairing
from spin_client.sdk.replacement import replace_record
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.extra_runtime import ExtraRuntime
from tests.fakes.hand_client import new_session


@pytest.fixture
def runtime(running: RunningPlatform, tmp_path: Path) -> Iterator[ExtraRuntime]:
    made = ExtraRuntime(tmp_path, running.settings.service_port_base + 18)
    yield made
    made.stop()


async def test_a_runtime_that_lost_its_disk_is_replaced_under_its_name(owner: Platform, runtime: ExtraRuntime) -> None:
    """Its first token works no second time; and the new record runs cells at the same address."""
    await runtime.pair(owner, "Sample")
    before, first = runtime.record, runtime.token
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
    request = workspaces_pb2.ListRuntimesRequest(workspace_id=after.workspace_id)
    named = [one.id for one in (await owner.runtimes.ListRuntimes(request)).runtimes if one.name == after.name]
    assert named == [after.id]
    assert runtime.stop() == 0
    # Found again after all, the old disk opens with its own token alone, and the runtime on it is a removed one.
    lost.rename(runtime.home / "newer")
    (runtime.home / "lost").rename(lost)
    status, said = runtime.refused(begun.token)
    assert status != 0 and "broker" in said and begun.token not in said and first not in said
