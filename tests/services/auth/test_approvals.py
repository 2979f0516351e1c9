"""Four eyes, over real gRPC: who may decide, what an approval is bound to, and that it counts once and for a while."""

import asyncio
import secrets
from typing import Any

import pytest

from spin_envelope.digests import source_digest
from spinapis.auth.v1 import approvals_pb2 as pb
from spinapis.auth.v1 import members_pb2, sign_in_pb2
from spinapis.envelope.v1.run_pb2 import Approval, ConnectionUse, RunGrant
from tests.fakes.installation import refused
from tests.fakes.peer_services import FakeConnection
from tests.services.auth.test_grants import Attached, attached_to

SOURCE = "DELETE everything"
USE = ConnectionUse(connection_id=b"c" * 16, operations=["rest.request"], params_digest=bytes(32))
HOUR_MS = 3_600_000


class Desk:
    """A session of someone who asks, and what they ask for."""

    def __init__(self, attached: Attached) -> None:
        self.attached, self.auth, self.owner, self.workspace = attached, attached.auth, attached.owner, attached.workspace
        self.digest = source_digest("rest", SOURCE, "{}")

    async def ask(self, by: Any, **fields: Any) -> pb.Approval:
        values = {"workspace_id": self.workspace, "notebook_id": self.attached.session.notebook_id, "cell_id": "cell-1"}
        values |= {"cell_type": "rest", "source": SOURCE, "fields_json": "{}", "uses": [USE], "note": "disk is full"}
        metadata = self.auth.installation.as_service("compiler", "auth") + by.metadata
        return (await self.auth.approvals.RequestApproval(pb.RequestApprovalRequest(**(values | fields)), metadata=metadata)).approval

    async def decide(self, by: Any, approval: pb.Approval, approve: bool = True, **fields: Any) -> pb.Approval:
        values = {"workspace_id": self.workspace, "approval_id": approval.id, "approve": approve, "source_digest": approval.source_digest}
        answer = await self.auth.approvals.DecideApproval(pb.DecideApprovalRequest(**(values | fields)), metadata=by.metadata)
        return answer.approval

    async def get(self, approval: pb.Approval) -> pb.Approval:
        request = pb.GetApprovalRequest(workspace_id=self.workspace, approval_id=approval.id)
        return (await self.auth.approvals.GetApproval(request, metadata=self.owner.metadata)).approval

    async def run(self, by: Any, **fields: Any) -> RunGrant:
        values = {"source_digest": self.digest, "connections": [USE]}
        return await self.attached.grant(by, **(values | fields))


@pytest.fixture
async def desk(auth_on: Any) -> Desk:
    """On each database engine, with two connections whose requests are guarded."""
    made = Desk(await attached_to(auth_on))
    for letter in (b"c", b"d"):
        made.auth.secrets.connections[(letter * 16).hex()] = FakeConnection(made.workspace, approval_operations=["rest.request"])
    return made


@pytest.fixture
async def editor(desk: Desk) -> Any:
    """Asks, and is attached."""
    person = await desk.auth.invite(desk.workspace, desk.owner, "editor")
    await desk.attached.attach(person)
    return person


def kinds(desk: Desk) -> list[str]:
    return [entry.type for entry in desk.auth.log.entries[desk.workspace] if entry.type.startswith("approval.")]


async def test_a_run_is_granted_once_when_somebody_else_approved(desk: Desk, editor: Any) -> None:
    asked = await desk.ask(editor)
    assert (asked.state, asked.source, asked.requested_by) == (pb.APPROVAL_STATE_PENDING, SOURCE, editor.id)
    assert list(asked.approver_ids) == [desk.owner.id]
    with refused() as refusal:
        await desk.run(editor)
    assert (refusal.reason, refusal.metadata["approval_id"]) == ("APPROVAL_REQUIRED", asked.id)
    decided = await desk.decide(desk.owner, asked, note="go on")
    assert (decided.state, decided.decided_by, decided.decision_note) == (pb.APPROVAL_STATE_APPROVED, desk.owner.id, "go on")
    grant = await desk.run(editor)
    (document,) = grant.approvals
    approval = desk.attached.signed(document, Approval)
    assert (approval.approver_id, approval.user_id, approval.source_digest) == (desk.owner.id, editor.id, desk.digest)
    assert [(use.connection_id, use.connection_version) for use in approval.uses] == [(USE.connection_id, 1)]
    assert approval.uses == grant.connections
    assert (await desk.get(asked)).state == pb.APPROVAL_STATE_USED
    with refused() as refusal:
        await desk.run(editor)
    assert refusal.reason == "APPROVAL_REQUIRED"
    assert kinds(desk) == ["approval.requested", "approval.approved"]


async def test_of_runs_at_the_same_time_one_wins(desk: Desk, editor: Any) -> None:
    await desk.decide(desk.owner, await desk.ask(editor))
    outcomes = await asyncio.gather(*(desk.run(editor) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(outcome, RunGrant) for outcome in outcomes) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"source_digest": source_digest("rest", SOURCE + " now", "{}")},
        {"connections": [ConnectionUse(connection_id=b"c" * 16, operations=["rest.request"], params_digest=b"\1" * 32)]},
        {"connections": [ConnectionUse(connection_id=b"d" * 16, operations=["rest.request"], params_digest=bytes(32))]},
        {"connections": [USE, ConnectionUse(connection_id=b"c" * 16, operations=["rest.other"], params_digest=bytes(32))]},
        {"cell_id": "cell-2"},
    ],
)
async def test_what_changed_after_the_approval_needs_another(desk: Desk, editor: Any, changed: dict[str, Any]) -> None:
    asked = await desk.decide(desk.owner, await desk.ask(editor))
    with refused() as refusal:
        await desk.run(editor, **changed)
    assert refusal.reason == "APPROVAL_REQUIRED"
    assert (await desk.get(asked)).state == pb.APPROVAL_STATE_APPROVED


async def test_a_connection_that_was_edited_after_the_approval_needs_another(desk: Desk, editor: Any) -> None:
    asked = await desk.decide(desk.owner, await desk.ask(editor))
    desk.auth.secrets.connections[USE.connection_id.hex()].version = 2
    with refused() as refusal:
        await desk.run(editor)
    assert refusal.reason == "APPROVAL_REQUIRED"
    again = await desk.ask(editor)
    assert again.id != asked.id and again.uses[0].connection_version == 2


async def test_an_approval_is_no_one_elses(desk: Desk, editor: Any) -> None:
    await desk.decide(desk.owner, await desk.ask(editor))
    await desk.attached.attach(desk.owner)
    with refused() as refusal:
        await desk.run(desk.owner)
    assert refusal.reason == "APPROVAL_REQUIRED"


async def test_nobody_approves_their_own_request(desk: Desk) -> None:
    asked = await desk.ask(desk.owner)
    with refused() as refusal:
        await desk.decide(desk.owner, asked)
    assert refusal.reason == "PERMISSION_DENIED" and "somebody else" in refusal.text


async def test_who_owns_a_child_workspace_alone_lifts_no_guard_of_its_parents(desk: Desk, editor: Any) -> None:
    parents = await desk.auth.found(parents_owner := await desk.auth.invite(desk.workspace, desk.owner, "editor"))
    desk.auth.workspaces.parents[desk.workspace] = parents
    # What auth was told of the line before is believed for a minute.
    desk.auth.installation.clock.advance(61)
    desk.auth.secrets.connections[USE.connection_id.hex()].workspace_id = parents
    # Whatever the compiler says: who guards is told by secrets.
    asked = await desk.ask(editor, guarding_workspace_ids=[])
    assert list(asked.approver_ids) == [parents_owner.id]
    listing = pb.ListApprovalsRequest(workspace_id=desk.workspace)
    (listed,) = (await desk.auth.approvals.ListApprovals(listing, metadata=editor.metadata)).approvals
    assert list(listed.approver_ids) == [parents_owner.id]
    with refused() as refusal:
        await desk.decide(desk.owner, asked)
    assert refusal.reason == "PERMISSION_DENIED" and "another workspace" in refusal.text
    assert (await desk.decide(parents_owner, asked)).state == pb.APPROVAL_STATE_APPROVED


async def test_an_agent_does_not_approve_itself_and_its_owner_does_not_either(desk: Desk) -> None:
    key = members_pb2.CreateApiKeyRequest(workspace_id=desk.workspace, name="agent", role=members_pb2.MEMBER_ROLE_EDITOR)
    secret = (await desk.auth.members.CreateApiKey(key, metadata=desk.owner.metadata)).secret
    tokens = (await desk.auth.sign_in.ExchangeApiKey(sign_in_pb2.ExchangeApiKeyRequest(api_key=secret))).tokens
    agent = type(desk.owner)(desk.owner.user, tokens)
    asked = await desk.ask(agent)
    assert asked.actor_chain and desk.owner.id not in asked.approver_ids
    for decider in (agent, desk.owner):
        with refused() as refusal:
            await desk.decide(decider, asked)
        assert refusal.reason == "PERMISSION_DENIED"
    other = await desk.auth.invite(desk.workspace, desk.owner, "editor")
    assert (await desk.decide(other, asked)).state == pb.APPROVAL_STATE_APPROVED


@pytest.mark.parametrize("role", ["viewer", "agent", "auditor"])
async def test_who_may_not_decide(desk: Desk, editor: Any, role: str) -> None:
    asked = await desk.ask(editor)
    someone = await desk.auth.invite(desk.workspace, desk.owner, role)
    with refused() as refusal:
        await desk.decide(someone, asked)
    assert refusal.reason == "PERMISSION_DENIED"


async def test_a_decision_is_about_the_cell_that_was_shown(desk: Desk, editor: Any) -> None:
    asked = await desk.ask(editor)
    with refused() as refusal:
        await desk.decide(desk.owner, asked, source_digest=bytes(32))
    assert refusal.reason == "INVALID_ARGUMENT"
    assert (await desk.get(asked)).state == pb.APPROVAL_STATE_PENDING


async def test_a_request_is_decided_once(desk: Desk, editor: Any) -> None:
    asked = await desk.ask(editor)
    await desk.decide(desk.owner, asked, approve=False, note="not tonight")
    with refused() as refusal:
        await desk.decide(desk.owner, asked)
    assert (refusal.reason, refusal.metadata["state"]) == ("APPROVAL_CLOSED", "APPROVAL_STATE_REFUSED")
    with refused() as refusal:
        await desk.run(editor)
    assert (refusal.reason, refusal.metadata["approval_id"]) == ("APPROVAL_REQUIRED", "")
    assert kinds(desk) == ["approval.requested", "approval.refused"]


async def test_time_is_over(desk: Desk, editor: Any) -> None:
    asked = await desk.decide(desk.owner, await desk.ask(editor), valid_ms=1)
    desk.auth.installation.clock.advance(1)
    assert (await desk.get(asked)).state == pb.APPROVAL_STATE_EXPIRED
    with refused() as refusal:
        await desk.run(editor)
    assert refusal.reason == "APPROVAL_REQUIRED"
    with refused() as refusal:
        await desk.decide(desk.owner, await desk.ask(editor), valid_ms=25 * HOUR_MS)
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_who_asked_takes_it_back(desk: Desk, editor: Any) -> None:
    asked = await desk.decide(desk.owner, await desk.ask(editor))
    cancel = pb.CancelApprovalRequest(workspace_id=desk.workspace, approval_id=asked.id)
    with refused() as refusal:
        await desk.auth.approvals.CancelApproval(cancel, metadata=desk.owner.metadata)
    assert refusal.reason == "NOT_FOUND"
    await desk.auth.approvals.CancelApproval(cancel, metadata=editor.metadata)
    with refused() as refusal:
        await desk.run(editor)
    assert refusal.reason == "APPROVAL_REQUIRED"
    assert (await desk.ask(editor)).id != asked.id


async def test_asking_again_changes_nothing(desk: Desk, editor: Any) -> None:
    first = await desk.ask(editor)
    assert (await desk.ask(editor)).id == first.id
    assert kinds(desk) == ["approval.requested"]


async def test_parameters_that_nobody_can_know_are_not_approved(desk: Desk, editor: Any) -> None:
    with refused() as refusal:
        await desk.ask(editor, uses=[ConnectionUse(connection_id=b"c" * 16, operations=["rest.request"])])
    assert refusal.reason == "CELL_INVALID" and "variables" in refusal.text


async def test_lists_go_page_by_page_and_by_state(desk: Desk, editor: Any) -> None:
    made = [await desk.ask(editor, cell_id=f"cell-{number}") for number in range(5)]
    await desk.decide(desk.owner, made[1], approve=False)
    seen, token = [], ""
    while True:
        request = pb.ListApprovalsRequest(workspace_id=desk.workspace, page_size=2, page_token=token, state=pb.APPROVAL_STATE_PENDING)
        answer = await desk.auth.approvals.ListApprovals(request, metadata=desk.owner.metadata)
        seen += [approval.cell_id for approval in answer.approvals]
        if not (token := answer.next_page_token):
            break
    assert sorted(seen) == ["cell-0", "cell-2", "cell-3", "cell-4"]


async def test_another_workspace_sees_and_decides_nothing(desk: Desk, editor: Any) -> None:
    asked = await desk.ask(editor)
    other = await desk.auth.found(desk.owner)
    for call, request in (
        (desk.auth.approvals.GetApproval, pb.GetApprovalRequest(workspace_id=other, approval_id=asked.id)),
        (desk.auth.approvals.DecideApproval, pb.DecideApprovalRequest(workspace_id=other, approval_id=asked.id, approve=True)),
        (desk.auth.approvals.GetApproval, pb.GetApprovalRequest(workspace_id=desk.workspace, approval_id=secrets.token_hex(16))),
    ):
        with refused() as refusal:
            await call(request, metadata=desk.owner.metadata)
        assert refusal.reason == "NOT_FOUND"
