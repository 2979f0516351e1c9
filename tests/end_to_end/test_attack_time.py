"""Attacks that need time or order: a trust state that nobody renews, credentials that go back.

A thief's key makes the documents, short-lived, so that no clock has to be turned.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform
from spin_envelope.signing import sign, unverified
from spinapis.auth.v1 import trust_pb2 as auth_pb2
from spinapis.envelope.v1 import run_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from tests.fakes.extra_runtime import ExtraRuntime
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.stolen_keys import BUNDLE, Sealer, now_ms, stolen

LIFE_MS = 3_000


@pytest.fixture
def runtime(running: RunningPlatform, tmp_path: Path) -> Iterator[ExtraRuntime]:
    """One of its own: these attacks leave a runtime behind that knows higher versions than the platform's."""
    made = ExtraRuntime(tmp_path, running.settings.service_port_base + 15)
    yield made
    made.stop()


async def answer(client: HandClient, **frame: object) -> str:
    """What the runtime says to documents or credentials: "accepted" or the reason of its refusal."""
    await client.send(**frame)
    said = await client.next_of("trust_accepted", "bundle_accepted", "error")
    if said.HasField("error"):
        return reasons_pb2.ErrorReason.Name(said.error.reason).removeprefix("ERROR_REASON_")
    return "accepted"


async def test_a_trust_state_withheld_until_the_known_one_expires(running: RunningPlatform, owner: Platform, runtime: ExtraRuntime) -> None:
    await runtime.pair(owner, "Sample")
    where = auth_pb2.GetTrustStateRequest(workspace_id=runtime.record.workspace_id, runtime_id=runtime.record.id)
    async with await HandClient.attach(owner, await new_session(owner, runtime.record.workspace_id, runtime.record.id)) as client:
        await client.start_kernel()
        kept = (await client.compile("print('kept')")).sealed
        state = unverified((await owner.enrolment.GetTrustState(where)).trust_state, trust_pb2.TrustState)
        state.version += 1
        state.issued_at_ms, state.expires_at_ms = now_ms(), now_ms() + LIFE_MS
        short = frames_pb2.TrustDocuments(trust_state=sign(state, stolen(running.settings, "auth")))
        assert await answer(client, trust_documents=short) == "accepted"
        await asyncio.sleep(LIFE_MS / 1000 + 0.5)
        assert await client.outcome(kept) == "TRUST_EXPIRED"
        assert "kept" not in client.printed()
        await owner.enrolment.GetTrustState(where)
        fresh = frames_pb2.TrustDocuments(trust_state=(await owner.enrolment.GetTrustState(where)).trust_state)
        assert await answer(client, trust_documents=fresh) == "accepted"
        assert await client.outcome((await client.compile("print('trusted again')")).sealed) == "OK"


async def test_bundle_5_after_6(running: RunningPlatform, owner: Platform, runtime: ExtraRuntime) -> None:
    await runtime.pair(owner, "Sample")
    key = stolen(running.settings, "secrets")
    async with await HandClient.attach(owner, await new_session(owner, runtime.record.workspace_id, runtime.record.id)) as client:
        sealer = Sealer.to(client)

        def bundle(version: int) -> bytes:
            said = run_pb2.CredentialBundle(
                workspace_id=sealer.hello.workspace_id,
                runtime_id=sealer.hello.runtime_id,
                bundle_version=version,
                issued_at_ms=now_ms(),
                expires_at_ms=now_ms() + 60_000,
            )
            return sealer.seal(sign(said, key), BUNDLE)

        sixth, fifth = bundle(1_000_006), bundle(1_000_005)
        assert await answer(client, sealed=sixth) == "accepted"
        assert await answer(client, sealed=fifth) == "ROLLBACK_REFUSED"
        # The same one again changes nothing and is no attack.
        assert await answer(client, sealed=sixth) == "accepted"
