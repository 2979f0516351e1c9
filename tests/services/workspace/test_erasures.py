"""What a deleted workspace had is erased: never before the workspace is gone, and in the end always."""

import asyncio

import pytest

from spin_services.workspace import erasures
from spinapis.workspace.v1 import workspaces_pb2
from tests.fakes.installation import refused
from tests.services.workspace.conftest import Place


async def delete(place: Place, made: workspaces_pb2.Workspace) -> None:
    request = workspaces_pb2.DeleteWorkspaceRequest(workspace_id=made.id, etag=made.etag)
    await place.workspaces.DeleteWorkspace(request, metadata=place.user())


@pytest.fixture
def short_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the service starts."""
    monkeypatch.setattr(erasures, "SWEEP_S", 0.05)


async def test_a_deletion_that_fails_erases_nothing_and_can_be_repeated(place: Place) -> None:
    made = await place.workspace("Incidents")
    place.log.broken = True
    with refused() as refusal:
        await delete(place, made)
    assert refusal.reason == "UNAVAILABLE" and place.keys.erased == []
    place.log.broken = False
    await delete(place, made)
    assert place.keys.erased == [made.id]


async def test_secrets_that_are_away_are_told_later(short_sweeps: None, place: Place) -> None:
    kept, gone = await place.workspace("Kept"), await place.workspace("Gone")
    place.keys.broken = True
    await delete(place, gone)
    assert place.keys.erased == []
    with refused() as refusal:
        await place.workspaces.GetWorkspace(workspaces_pb2.GetWorkspaceRequest(workspace_id=gone.id), metadata=place.user())
    assert refusal.reason == "NOT_FOUND"
    place.keys.broken = False
    async with asyncio.timeout(20):
        while not place.keys.erased:
            await asyncio.sleep(0.01)
    last = await place.workspace("Last")
    await delete(place, last)
    # What is done is not done again, and what stays is let alone.
    assert place.keys.erased == [gone.id, last.id] and kept.id not in place.keys.erased


async def test_a_key_does_not_bring_a_deleted_workspace_back(place: Place) -> None:
    request = workspaces_pb2.CreateWorkspaceRequest(name="Incidents", idempotency_key="k")
    made = (await place.workspaces.CreateWorkspace(request, metadata=place.user())).workspace
    await delete(place, made)
    with refused() as refusal:
        await place.workspaces.CreateWorkspace(request, metadata=place.user())
    assert refusal.metadata["field"] == "idempotency_key"
