"""The root document's time runs out on a running platform: everybody says so, nobody believes anything, and one command brings it back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import aiohttp
import pytest

from scripts.platform.apart import RunningPlatform, start_apart
from spin_client.sdk import MemoryStore, Platform, RunState, RuntimeSession, SpinError
from spin_envelope.root import build_root_document
from spin_envelope.signing import sign
from spin_services.keys.store import ROTATING_ROLES
from spinapis.envelope.v1.trust_pb2 import ROLE_ROOT
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.key_rotation import keys
from tests.fakes.stolen_keys import key_store, now_ms

LASTS_MS = 20_000
PATIENCE_S = 60


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningPlatform]:
    platform = start_apart(tmp_path / "platform")
    yield platform
    assert platform.stop() == 0


@pytest.fixture
async def owner(running: RunningPlatform, tmp_path: Path) -> AsyncIterator[Platform]:
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=tmp_path / "pins") as platform:
        await platform.sign_in_with_link(running.new_token())
        yield platform


async def reason_of(call: Awaitable[object]) -> str:
    try:
        await call
    except SpinError as error:
        return error.reason
    return ""


async def test_an_expired_root_is_told_everywhere_and_renewed_without_a_restart(running: RunningPlatform, owner: Platform) -> None:
    listed = await owner.workspaces.ListWorkspaces(workspaces_pb2.ListWorkspacesRequest())
    session = await new_session(owner, listed.workspaces[0].id)
    async with await HandClient.attach(owner, session) as client:
        await client.start_kernel()
        shorten(running)
        async with asyncio.timeout(PATIENCE_S):
            while (await owner.trust.newest()).version < 2:
                await asyncio.sleep(0.5)
        async with await HandClient.attach(owner, session) as newer:
            kept = (await newer.compile("print('late')")).sealed
            async with asyncio.timeout(PATIENCE_S):
                while await reason_of(owner.trust.root()) != "ROOT_EXPIRED":
                    await asyncio.sleep(0.5)
            assert await newer.outcome(kept) == "ROOT_EXPIRED"
            assert await reason_of(newer.compile("print('later')")) == "ROOT_EXPIRED"
    assert await reason_of(owner.current_user()) == "ROOT_EXPIRED"
    with pytest.raises(SpinError, match="has expired") as refused:
        await RuntimeSession.of(owner, session)
    assert refused.value.reason == "ROOT_EXPIRED" and "spin-service keys list" in refused.value.hint
    async with aiohttp.ClientSession() as http:
        headers = {"authorization": f"Bearer {await owner.tokens.access_token()}"}
        async with http.get(f"{running.settings.public_url}/v1/workspaces", headers=headers) as answer:
            assert answer.status == 400 and "root document has expired" in await answer.text()
    assert "signs with" in keys(running.settings, "rotate", "root")
    async with asyncio.timeout(PATIENCE_S):
        while await reason_of(owner.trust.root()):
            await asyncio.sleep(0.5)
    async with await RuntimeSession.of(owner, session) as opened:
        cell = notebooks_pb2.Cell(id="again", cell_type="python", source="print('fine')")
        states = [event async for event in opened.run(cell) if isinstance(event, RunState)]
        assert states[-1].ok, states[-1]
        assert await opened.settle()


def shorten(running: RunningPlatform) -> None:
    """Puts a document in force that ends soon."""
    store = key_store(running.settings)
    root = store.root()
    roles = {role: [key.public for key in root.keys(role)] for role in (ROLE_ROOT, *ROTATING_ROLES)}
    store.install(sign(build_root_document(root.version + 1, now_ms() + LASTS_MS, roles), store.role_key(ROLE_ROOT)))
