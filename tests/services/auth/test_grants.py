"""Capabilities, challenges and run grants, over real gRPC."""

import asyncio
import secrets
from typing import Any

import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.sealing import Suite
from spin_envelope.signing import sign
from spinapis.auth.v1 import members_pb2, policy_pb2
from spinapis.auth.v1 import trust_pb2 as pb
from spinapis.auth.v1.sign_in_pb2 import ExchangeApiKeyRequest, RefreshTokensRequest
from spinapis.envelope.v1.attach_pb2 import EGRESS_MODE_ALLOW_LIST, EGRESS_MODE_OPEN, SCOPE_RUN, SCOPE_VIEW, CapabilityToken, Challenge, EgressPolicy
from spinapis.envelope.v1.run_pb2 import ConnectionUse, RunGrant
from spinapis.envelope.v1.trust_pb2 import ROLE_AUTH
from spinapis.workspace.v1.notebooks_pb2 import Session
from tests.fakes.installation import ORIGIN, refused
from tests.fakes.peer_services import FakeConnection

DIGEST = bytes(range(32))


class Attached:
    """A session on a confirmed runtime, with one challenge answered."""

    def __init__(self, auth: Any, owner: Any, workspace: str, runtime: Any, session: Session) -> None:
        self.auth, self.owner, self.workspace, self.runtime, self.session = auth, owner, workspace, runtime, session
        self.capability = self.challenge = self.hello = b""

    async def issue(self, by: Any = None, **fields: Any) -> Any:
        session = self.session
        values = {"workspace_id": self.workspace, "session_id": session.id, "notebook_id": session.notebook_id, "runtime_id": session.runtime_id}
        request = pb.IssueCapabilityRequest(**(values | {"cnf": DIGEST, "origin": ORIGIN} | fields))
        return await self.auth.grants.IssueCapability(request, metadata=(by or self.owner).metadata)

    async def attach(self, by: Any = None) -> None:
        answer = await self.issue(by)
        self.capability, self.challenge = answer.capability, answer.challenge
        self.hello = self.runtime.hello(self.challenge, self.session.id)

    async def grant(self, by: Any = None, service: str = "compiler", **fields: Any) -> RunGrant:
        session = self.session
        values = {"workspace_id": self.workspace, "session_id": session.id, "notebook_id": session.notebook_id, "runtime_id": session.runtime_id}
        values |= {"cell_id": "cell-1", "hello": self.hello, "challenge": self.challenge, "kernel_epoch": 1, "source_digest": DIGEST}
        metadata = self.auth.installation.as_service(service, "auth") + (by or self.owner).metadata
        answer = await self.auth.grants.GrantRun(pb.GrantRunRequest(**(values | fields)), metadata=metadata)
        return self.signed(answer.grant, RunGrant)

    def signed(self, data: bytes, cls: Any) -> Any:
        return self.auth.installation.keys.root().verify(data, cls, self.auth.installation.clock()).message


def open_session(auth: Any, workspace: str, runtime_id: str) -> Session:
    session = Session(id=secrets.token_hex(16), workspace_id=workspace, notebook_id=secrets.token_hex(16), runtime_id=runtime_id, opened_at_ms=1)
    auth.workspaces.sessions[session.id] = session
    return session


async def attached_to(auth: Any) -> Attached:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    runtime = await auth.confirmed(workspace, owner)
    made = Attached(auth, owner, workspace, runtime, open_session(auth, workspace, runtime.runtime_id))
    await made.attach()
    return made


@pytest.fixture
async def attached(auth: Any) -> Attached:
    return await attached_to(auth)


async def test_a_capability_says_who_where_and_for_which_key(attached: Attached) -> None:
    token, now = attached.signed(attached.capability, CapabilityToken), attached.auth.installation.clock()
    session = attached.session
    assert (token.workspace_id.hex(), token.session_id.hex(), token.notebook_id.hex(), token.runtime_id.hex()) == (
        attached.workspace,
        session.id,
        session.notebook_id,
        session.runtime_id,
    )
    assert (token.user_id, token.origin, token.cnf, list(token.scopes)) == (attached.owner.id, ORIGIN, DIGEST, [SCOPE_VIEW, SCOPE_RUN])
    assert 0 < token.expires_at_ms - now <= 300_000
    challenge = attached.signed(attached.challenge, Challenge)
    assert (challenge.session_id.hex(), challenge.user_id, len(challenge.nonce)) == (session.id, attached.owner.id, 32)


async def test_a_capability_carries_what_counts_for_kernels(auth_on: Any) -> None:
    attached = await attached_to(auth_on)
    assert attached.signed(attached.capability, CapabilityToken).egress.mode == EGRESS_MODE_OPEN
    policy = EgressPolicy(mode=EGRESS_MODE_ALLOW_LIST, hosts=["pypi.org:443"])
    reading = policy_pb2.GetWorkspacePolicyRequest(workspace_id=attached.workspace)
    etag = (await auth_on.policies.GetWorkspacePolicy(reading, metadata=attached.owner.metadata)).policy.etag
    request = policy_pb2.UpdateWorkspacePolicyRequest(workspace_id=attached.workspace, egress=policy, etag=etag)
    await auth_on.policies.UpdateWorkspacePolicy(request, metadata=attached.owner.metadata)
    egress = attached.signed((await attached.issue()).capability, CapabilityToken).egress
    assert (egress.mode, list(egress.hosts)) == (EGRESS_MODE_ALLOW_LIST, ["pypi.org:443"])
    assert list(egress.workspace_ids) == [bytes.fromhex(attached.workspace)]


async def test_a_viewer_may_watch_and_not_run(attached: Attached) -> None:
    viewer = await attached.auth.invite(attached.workspace, attached.owner, "viewer")
    token = attached.signed((await attached.issue(viewer)).capability, CapabilityToken)
    assert list(token.scopes) == [SCOPE_VIEW]
    await attached.attach(viewer)
    with refused() as refusal:
        await attached.grant(viewer)
    assert refusal.reason == "PERMISSION_DENIED"


@pytest.mark.parametrize("field", ["session_id", "notebook_id", "runtime_id"])
async def test_a_capability_for_something_else_than_the_session(attached: Attached, field: str) -> None:
    with refused() as refusal:
        await attached.issue(**{field: "e5" * 16})
    assert refusal.reason == "NOT_FOUND"
    with refused() as refusal:
        await attached.issue(**{field: "not an id"})
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_a_capability_for_another_workspaces_session(attached: Attached) -> None:
    other = await attached.auth.found(attached.owner)
    with refused() as refusal:
        await attached.issue(workspace_id=other)
    assert refusal.reason == "NOT_FOUND"


@pytest.mark.parametrize("fields", [{"cnf": b"short"}, {"cnf": b""}, {"origin": "https://evil.example.org"}, {"origin": "null"}])
async def test_a_capability_for_another_key_form_or_origin(attached: Attached, fields: dict[str, Any]) -> None:
    with refused() as refusal:
        await attached.issue(**fields)
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_a_client_without_an_origin_gets_one_without(attached: Attached) -> None:
    assert attached.signed((await attached.issue(origin="")).capability, CapabilityToken).origin == ""


async def test_nothing_for_a_runtime_that_nobody_confirmed(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    runtime = await auth.enrolled(workspace, owner)
    attached = Attached(auth, owner, workspace, runtime, open_session(auth, workspace, runtime.runtime_id))
    with refused() as refusal:
        await attached.issue()
    assert refusal.reason == "RUNTIME_NOT_CONFIRMED"


async def test_a_grant_repeats_what_was_asked_and_numbers_it(auth_on: Any) -> None:
    attached = await attached_to(auth_on)
    connection = ConnectionUse(connection_id=bytes(16), operations=["rest.request"])
    auth_on.secrets.connections[bytes(16).hex()] = FakeConnection(attached.workspace, version=3)
    grants = [await attached.grant(connections=[connection]) for _ in range(3)]
    grant = grants[0]
    assert [one.nonce.seq for one in grants] == [1, 2, 3]
    assert (grant.nonce.boot_id, grant.nonce.kernel_epoch) == (attached.runtime.boot_id, 1)
    assert (grant.user_id, list(grant.actor_chain), grant.cell_id) == (attached.owner.id, [], "cell-1")
    assert (grant.hello_digest, grant.source_digest) == (signed_digest(attached.hello), DIGEST)
    connection.connection_version = 3
    assert list(grant.connections) == [connection]
    assert grant.expires_at_ms - grant.issued_at_ms <= 300_000
    assert (await attached.grant(kernel_epoch=2)).nonce.seq == 1


async def test_numbers_are_never_given_twice(auth_on: Any) -> None:
    attached = await attached_to(auth_on)
    grants = await asyncio.gather(*(attached.grant() for _ in range(24)))
    assert sorted(grant.nonce.seq for grant in grants) == list(range(1, 25))


async def test_only_the_compiler_asks_for_grants(attached: Attached) -> None:
    for service in ("secrets", "audit", "workspace"):
        with refused() as refusal:
            await attached.grant(service=service)
        assert refusal.reason == "SERVICE_ONLY"
    with refused() as refusal:
        request = pb.GrantRunRequest(workspace_id=attached.workspace)
        await attached.auth.grants.GrantRun(request, metadata=attached.owner.metadata)
    assert refusal.reason == "SERVICE_ONLY"
    with refused() as refusal:
        await attached.auth.grants.GrantRun(request, metadata=attached.auth.installation.as_service("compiler", "auth"))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_an_agent_runs_through_its_key_and_the_grant_says_so(attached: Attached) -> None:
    auth = attached.auth
    request = members_pb2.CreateApiKeyRequest(workspace_id=attached.workspace, name="agent", role=members_pb2.MEMBER_ROLE_AGENT)
    made = await auth.members.CreateApiKey(request, metadata=attached.owner.metadata)
    tokens = (await auth.sign_in.ExchangeApiKey(ExchangeApiKeyRequest(api_key=made.secret))).tokens
    machine = type(attached.owner)(attached.owner.user, tokens)
    await attached.attach(machine)
    grant = await attached.grant(machine)
    assert (grant.user_id, list(grant.actor_chain)) == (attached.owner.id, [f"api_key:{made.api_key.id}"])


async def test_a_hello_of_another_identity(attached: Attached) -> None:
    attached.hello = attached.runtime.hello(attached.challenge, attached.session.id, signer=SigningKey.generate())
    with refused() as refusal:
        await attached.grant()
    assert refusal.reason == "SIGNATURE_INVALID"


async def test_a_challenge_that_auth_did_not_sign(attached: Attached) -> None:
    attached.challenge = sign(attached.signed(attached.challenge, Challenge), SigningKey.generate())
    attached.hello = attached.runtime.hello(attached.challenge, attached.session.id)
    with refused() as refusal:
        await attached.grant()
    assert refusal.reason == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    "change",
    [
        {"workspace_id": bytes(16)},
        {"runtime_id": bytes(16)},
        {"session_id": bytes(16)},
        {"challenge_digest": bytes(32)},
        {"boot_id": b""},
        {"boot_id": bytes(17)},
    ],
)
async def test_a_hello_that_answers_something_else(attached: Attached, change: dict[str, bytes]) -> None:
    attached.hello = attached.runtime.hello(attached.challenge, attached.session.id, **change)
    with refused() as refusal:
        await attached.grant()
    assert refusal.reason == "HELLO_STALE"


async def test_a_hello_older_than_a_day(attached: Attached) -> None:
    attached.auth.installation.clock.advance(24 * 3600 + 1)
    refresh = RefreshTokensRequest(refresh_token=attached.owner.tokens.refresh_token)
    attached.owner.tokens = (await attached.auth.sign_in.RefreshTokens(refresh)).tokens
    with refused() as refusal:
        await attached.grant()
    assert refusal.reason == "HELLO_STALE"


async def test_a_hello_that_another_member_was_given(attached: Attached) -> None:
    other = await attached.auth.invite(attached.workspace, attached.owner, "editor")
    with refused() as refusal:
        await attached.grant(other)
    assert refusal.reason == "HELLO_STALE"


async def test_a_hello_with_a_key_of_suite_1(attached: Attached) -> None:
    attached.hello = attached.runtime.hello(attached.challenge, attached.session.id, suite=Suite(1))
    with refused() as refusal:
        await attached.grant()
    assert refusal.reason == "SUITE_REFUSED"


@pytest.mark.parametrize("fields", [{"kernel_epoch": 0}, {"kernel_epoch": 2**64 - 1}, {"source_digest": b""}, {"session_id": "x"}])
async def test_grants_that_make_no_sense(attached: Attached, fields: dict[str, Any]) -> None:
    with refused() as refusal:
        await attached.grant(**fields)
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_no_grant_for_a_session_of_another_workspace(attached: Attached) -> None:
    """A person who may run in one workspace alone does not carry that into another."""
    auth = attached.auth
    agent_here = await auth.invite(attached.workspace, attached.owner, "viewer")
    elsewhere = await auth.found(agent_here)
    await attached.attach(agent_here)
    with refused() as refusal:
        await attached.grant(agent_here, workspace_id=elsewhere)
    assert refusal.reason == "NOT_FOUND"


async def test_no_grant_once_the_runtime_is_revoked(auth_on: Any) -> None:
    attached = await attached_to(auth_on)
    await attached.grant()
    request = pb.RevokeRuntimeRequest(workspace_id=attached.workspace, runtime_id=attached.runtime.runtime_id)
    await auth_on.enrolment.RevokeRuntime(request, metadata=attached.owner.metadata)
    with refused() as refusal:
        await attached.grant()
    assert refusal.reason == "RUNTIME_REVOKED"


async def test_no_grant_once_the_session_has_ended(attached: Attached) -> None:
    await attached.grant()
    attached.session.ended_at_ms = 1
    attached.auth.installation.clock.advance(31)
    with refused() as refusal:
        await attached.grant()
    assert refusal.reason == "NOT_FOUND"


async def test_a_runtime_of_the_parent_serves_a_session_of_the_child(auth: Any) -> None:
    owner = await auth.owner()
    parent, child = await auth.found(owner), await auth.found(owner)
    auth.workspaces.parents[child] = parent
    runtime = await auth.confirmed(parent, owner)
    member = await auth.invite(child, owner, "editor")
    attached = Attached(auth, member, child, runtime, open_session(auth, child, runtime.runtime_id))
    await attached.attach()
    assert attached.signed(attached.capability, CapabilityToken).workspace_id.hex() == parent
    grant = await attached.grant()
    assert (grant.workspace_id.hex(), grant.session_id.hex()) == (parent, attached.session.id)


async def test_grants_go_on_across_a_rotation(attached: Attached) -> None:
    attached.auth.installation.keys.rotate(ROLE_AUTH)
    assert (await attached.grant()).nonce.seq == 1
