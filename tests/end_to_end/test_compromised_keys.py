"""A key that was stolen from a service is out for each role once it was rotated as compromised."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from scripts.platform.apart import RunningPlatform, start_apart
from spin_client.sdk import MemoryStore, Platform
from spin_envelope.keys import SigningKey
from spin_envelope.signing import unverified
from spin_services.rpc.tokens import sign_jwt
from spinapis.auth.v1 import trust_pb2 as auth_pb2
from spinapis.envelope.v1 import receipt_pb2, run_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import workspaces_pb2
from tests.fakes.every_method import OPTIONS, every_method, reason_of
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.key_rotation import rotate
from tests.fakes.stolen_keys import BUNDLE, Sealer, forged, now_ms, service_token, stolen

ROLES = ("auth", "compiler", "secrets", "audit", "workspace")
PATIENCE_S = 120
METHODS = {method.name: method for method in every_method()}


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[RunningPlatform]:
    """A platform of its own: what a revoked key signed stays refused."""
    platform = start_apart(tmp_path / "platform")
    yield platform
    assert platform.stop() == 0


@dataclass(frozen=True)
class Thief:
    """Has one service's key, as it was before the rotation."""

    running: RunningPlatform
    owner: Platform
    role: str
    key: SigningKey

    async def passes_as_service(self, callee: str, method: str) -> str:
        """What the callee answers to a call in that service's name and a live user's."""
        metadata = (
            ("x-spin-service", f"Bearer {service_token(self.key, self.role, callee)}"),
            ("authorization", f"Bearer {await self.owner.tokens.access_token()}"),
        )
        async with grpc.aio.insecure_channel(self.running.settings.service_address(callee), options=OPTIONS) as direct:
            return await reason_of(METHODS[method], direct, METHODS[method].request({"workspace_id": "0e" * 16}), metadata)

    async def is_out(self) -> None:
        """Every service looks for newer documents within a second."""
        for callee, method in (("auth", "AccessService/ListAccess"), ("audit", "LogService/AppendEntries")):
            if callee == self.role:
                continue
            async with asyncio.timeout(PATIENCE_S):
                while await self.passes_as_service(callee, method) != "UNAUTHENTICATED":
                    await asyncio.sleep(0.2)


async def said(client: HandClient, **frame: object) -> str:
    """What the runtime says to documents, credentials and acknowledgements: "accepted", or the reason of its refusal."""
    await client.send(**frame)
    answer = await client.next_of("trust_accepted", "bundle_accepted", "error")
    return reasons_pb2.ErrorReason.Name(answer.error.reason).removeprefix("ERROR_REASON_") if answer.HasField("error") else "accepted"


def bundle(client: HandClient, key: SigningKey, version: int) -> bytes:
    sealer, now = Sealer.to(client), now_ms()
    where = {"workspace_id": sealer.hello.workspace_id, "runtime_id": sealer.hello.runtime_id}
    held = run_pb2.CredentialBundle(**where, bundle_version=version, issued_at_ms=now, expires_at_ms=now + 60_000)
    return sealer.seal(forged(held, key), BUNDLE)


@pytest.mark.timeout(300)
async def test_a_compromised_key_of_each_service_is_out(apart: RunningPlatform, tmp_path: Path) -> None:
    """From the next trust state on the runtime takes nothing that it signed, and within a second no service takes its tokens."""
    async with await Platform.connect(apart.settings.public_url, store=MemoryStore(), pins=tmp_path / "pins") as owner:
        await owner.sign_in_with_link(apart.new_token())
        listed = await owner.workspaces.ListWorkspaces(workspaces_pb2.ListWorkspacesRequest())
        session = await new_session(owner, listed.workspaces[0].id)
        thieves = {role: Thief(apart, owner, role, stolen(apart.settings, role)) for role in ROLES}
        async with await HandClient.attach(owner, session) as client:
            await client.start_kernel()
            program = (await client.compile("print('pwned')")).sealed
            assert await said(client, sealed=bundle(client, thieves["secrets"].key, 1_000_001)) == "accepted"
        for role in ("compiler", "secrets", "audit", "workspace"):
            assert await thieves[role].passes_as_service("auth", "AccessService/ListAccess") == "OK"
            rotate(apart.settings, role, "--compromised")
            await thieves[role].is_out()
        async with await HandClient.attach(owner, session) as client:
            assert await client.outcome(program) == "OPEN_FAILED"
            assert await said(client, sealed=bundle(client, thieves["secrets"].key, 1_000_002)) == "OPEN_FAILED"
            where = {"workspace_id": bytes.fromhex(session.workspace_id), "runtime_id": bytes.fromhex(session.runtime_id)}
            ack = receipt_pb2.ReceiptAck(**where, up_to_seq=2**40)
            assert await said(client, receipt_ack=forged(ack, thieves["audit"].key)) == "OPEN_FAILED"
            assert await client.outcome((await client.compile("print('fine')")).sealed) == "OK"
            await stolen_auth(apart, owner, client, thieves["auth"])


async def stolen_auth(apart: RunningPlatform, owner: Platform, client: HandClient, thief: Thief) -> None:
    """Whoever holds auth's key may forge people and trust states until it is rotated."""
    where = auth_pb2.GetTrustStateRequest(workspace_id=client.session.workspace_id, runtime_id=client.session.runtime_id)
    state = unverified((await owner.enrolment.GetTrustState(where)).trust_state, trust_pb2.TrustState)
    rotate(apart.settings, "auth", "--compromised")
    async with asyncio.timeout(PATIENCE_S):
        while len(documents := await owner.trust.documents()) < len(ROLES) + 1:
            await asyncio.sleep(0.2)
    assert await said(client, trust_documents=frames_pb2.TrustDocuments(root_documents=documents)) == "accepted"
    state.version += 1_000
    assert await said(client, trust_documents=frames_pb2.TrustDocuments(trust_state=forged(state, thief.key))) == "OPEN_FAILED"
    claims = {"iss": apart.settings.public_url, "aud": "spin", "sub": "0a" * 16, "sid": "0b" * 16, "kind": "person", "adm": True}
    times = {"iat": now_ms() // 1000, "exp": now_ms() // 1000 + 300}
    metadata = (("authorization", f"Bearer {sign_jwt(claims | times, thief.key)}"),)
    for address in (f"localhost:{apart.settings.gateway_port}", apart.settings.service_address("workspace")):
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel, asyncio.timeout(PATIENCE_S):
            method = METHODS["WorkspaceService/ListWorkspaces"]
            while await reason_of(method, channel, method.request({}), metadata) != "UNAUTHENTICATED":
                await asyncio.sleep(0.5)
