"""A connection that was taken away, on a runtime that still holds its credential, in a cell that was admitted before."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator

import pytest

from spin_client.sdk import Platform, RuntimeSession
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.cell_runs import ran, ran_well
from tests.fakes.connected_system import ConnectedSystem
from tests.fakes.hand_client import HandClient, new_session


@pytest.fixture
async def api() -> AsyncIterator[ConnectedSystem]:
    async with ConnectedSystem() as running:
        yield running


async def connected(owner: Platform, workspace_id: str, api: ConnectedSystem, confidential: set[str]) -> secrets_pb2.Connection:
    token = f"token-{secrets.token_hex(12)}"
    confidential.add(token)
    create = secrets_pb2.CreateConnectionRequest(
        workspace_id=workspace_id,
        name=f"api {secrets.token_hex(3)}",
        kind="rest",
        config_json=json.dumps({"base_url": f"http://{api.host}", "auth": "bearer"}),
        credential_json=json.dumps({"token": token}),
        allowed_hosts=[api.host],
    )
    return (await owner.connections.CreateConnection(create)).connection


async def deleted(owner: Platform, connection: secrets_pb2.Connection) -> None:
    request = secrets_pb2.DeleteConnectionRequest(workspace_id=connection.workspace_id, connection_id=connection.id, etag=connection.etag)
    await owner.connections.DeleteConnection(request)


def twice(api: ConnectedSystem) -> notebooks_pb2.Cell:
    """Makes every later use of the kernel two, with a wait between them."""
    source = f"""
import urllib.request
from spin_kernel import broker
once = broker.use
def twice(*asked):
    once(*asked)
    urllib.request.urlopen("http://{api.host}/go").read()
    return once(*asked)
broker.use = twice
"""
    return notebooks_pb2.Cell(id="twice", cell_type="python", source=source)


def used(connection: secrets_pb2.Connection) -> notebooks_pb2.Cell:
    return notebooks_pb2.Cell(id="used", cell_type="rest", fields_json=json.dumps({"connection": connection.name, "url": "/data"}))


async def test_a_deleted_connection_on_a_stale_runtime(
    owner: Platform, workspace: workspaces_pb2.Workspace, api: ConnectedSystem, confidential: set[str]
) -> None:
    """The client keeps the new bundle back; that the trust state is new is enough."""
    gone, other = [await connected(owner, workspace.id, api, confidential) for _ in range(2)]
    session = await new_session(owner, workspace.id)
    async with await RuntimeSession.of(owner, session) as opened:
        await ran_well(opened, twice(api))
        running = asyncio.create_task(ran(opened, used(gone)))
        await asyncio.wait_for(api.waiting.wait(), 20)
        await deleted(owner, gone)
        async with await HandClient.attach(owner, session):
            api.go.set()
            well, said = await asyncio.wait_for(running, 20)
        assert not well and "credentials are out of date" in said
        assert len(api.hits) == 1
        # Whoever synchronises goes on with what is left.
        await ran_well(opened, used(other))
        assert len(api.hits) == 3


async def test_a_cell_with_another_connection_goes_on_by_itself(
    owner: Platform, workspace: workspaces_pb2.Workspace, api: ConnectedSystem, confidential: set[str]
) -> None:
    gone, kept = [await connected(owner, workspace.id, api, confidential) for _ in range(2)]
    session = await new_session(owner, workspace.id)
    async with await RuntimeSession.of(owner, session) as opened:
        await ran_well(opened, twice(api))
        running = asyncio.create_task(ran(opened, used(kept)))
        await asyncio.wait_for(api.waiting.wait(), 20)
        await deleted(owner, gone)
        # Any other page that opens brings the new trust state, and the bundle after it.
        async with await RuntimeSession.of(owner, session):
            api.go.set()
            assert (await asyncio.wait_for(running, 20))[0]
        assert len(api.hits) == 2
