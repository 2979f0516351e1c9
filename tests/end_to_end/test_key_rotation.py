"""`spin-service keys rotate` while the platform runs: everybody goes on, nothing is restarted, what was signed before still verifies."""

import asyncio
from pathlib import Path

import jwt
import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import MemoryStore, Platform, RunState, RuntimeSession
from spin_envelope.root import TrustedRoot
from spinapis.auth.v1 import sign_in_pb2
from spinapis.envelope.v1.trust_pb2 import Role
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.history import proved
from tests.fakes.key_rotation import rotate

# A running service looks for new keys once in a second; the gateway fetches auth's key set again after five.
NOTICED_S = 1.5
FETCHED_S = 6.5


async def works(session: RuntimeSession) -> None:
    cell = notebooks_pb2.Cell(id="rotated", cell_type="python", source="print('fine')")
    states = [event async for event in session.run(cell) if isinstance(event, RunState)]
    assert states[-1].ok, states[-1]
    assert await session.settle()


def pids(running: RunningPlatform) -> list[int]:
    return [running.child(name).pid for name in ("services", "gateway", "runtime")]


@pytest.mark.parametrize("role", ["auth", "compiler", "secrets", "audit", "workspace", "root"])
async def test_a_rotation_that_nobody_notices(running: RunningPlatform, owner: Platform, session: notebooks_pb2.Session, role: str) -> None:
    before = pids(running)
    async with await RuntimeSession.of(owner, session) as opened:
        await works(opened)
        assert f"{role} signs with" in rotate(running.settings, role)
        await asyncio.sleep(NOTICED_S)
        # Attached before the rotation, with documents of before it.
        await works(opened)
    async with await RuntimeSession.of(owner, session) as again:
        await works(again)
    connection = secrets_pb2.ListConnectionsRequest(workspace_id=session.workspace_id)
    await owner.connections.ListConnections(connection)
    await proved(owner, session.workspace_id)
    assert pids(running) == before


async def test_a_new_access_token_passes_the_gateway_at_once(running: RunningPlatform, owner: Platform, tmp_path: Path) -> None:
    """Envoy keeps auth's key set for a while; the next key is in it before it signs, however fast an operator repeats the rotation."""
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=tmp_path) as person:
        await person.sign_in_with_link(running.new_token())
        old = await person.tokens.access_token()
        for _ in range(3):
            rotate(running.settings, "auth")
            await asyncio.sleep(NOTICED_S)
            # The token that the old key signed still counts, and so does the refresh token.
            assert (await person.current_user()).id
            fresh = (await person.sign_in.RefreshTokens(sign_in_pb2.RefreshTokensRequest(refresh_token=person.tokens.refresh_token))).tokens
            await person.tokens.adopt(fresh)
            assert jwt.get_unverified_header(fresh.access_token)["kid"] != jwt.get_unverified_header(old)["kid"]
            assert (await person.current_user()).id
            old = fresh.access_token


async def test_a_compromised_key_is_out_at_once(running: RunningPlatform, owner: Platform, session: notebooks_pb2.Session) -> None:
    """What the old compiler key signed is refused from the next trust state on, and what the new one signs is not."""
    async with await HandClient.attach(owner, session) as client:
        await client.start_kernel()
        kept = (await client.compile("print('pwned')")).sealed
        rotate(running.settings, "compiler", "--compromised")
        await asyncio.sleep(NOTICED_S)
    async with await HandClient.attach(owner, session) as client:
        assert await client.outcome(kept) == "OPEN_FAILED"
        assert await client.outcome((await client.compile("print('fine')")).sealed) == "OK"


async def test_a_session_opened_after_many_rotations(running: RunningPlatform, owner: Platform, session: notebooks_pb2.Session) -> None:
    """A runtime that missed several root documents is brought up to date by whoever attaches."""
    for _ in range(2):
        for role in ("compiler", "auth", "audit"):
            rotate(running.settings, role)
        await asyncio.sleep(FETCHED_S)
    async with await RuntimeSession.of(owner, await new_session(owner, session.workspace_id)) as opened:
        await works(opened)
    documents = await owner.trust.documents()
    root = TrustedRoot.pinned(documents[0], None)
    for document in documents[1:]:
        root = root.updated(document)
    assert all(len(root.keys(role)) >= 2 for role in Role.values() if role not in (Role.ROLE_UNSPECIFIED, Role.ROLE_ROOT))
