"""Members, roles and API keys, over real gRPC."""

import asyncio
import secrets
from typing import Any

import pytest

from spinapis.auth.v1 import members_pb2 as pb
from spinapis.auth.v1 import sign_in_pb2
from tests.fakes.installation import refused

OWNER, EDITOR, AGENT, VIEWER, AUDITOR = (pb.MemberRole.Value(f"MEMBER_ROLE_{name}") for name in ("OWNER", "EDITOR", "AGENT", "VIEWER", "AUDITOR"))


async def listed(auth: Any, workspace: str, by: Any) -> dict[str, pb.Member]:
    answer = await auth.members.ListMembers(pb.ListMembersRequest(workspace_id=workspace), metadata=by.metadata)
    return {member.user_id: member for member in answer.members}


async def set_role(auth: Any, workspace: str, by: Any, user_id: str, role: pb.MemberRole.ValueType, etag: str = "") -> Any:
    request = pb.UpdateMemberRequest(workspace_id=workspace, user_id=user_id, role=role, etag=etag)
    return await auth.members.UpdateMember(request, metadata=by.metadata)


async def remove(auth: Any, workspace: str, by: Any, user_id: str) -> None:
    await auth.members.RemoveMember(pb.RemoveMemberRequest(workspace_id=workspace, user_id=user_id), metadata=by.metadata)


async def new_key(auth: Any, workspace: str, by: Any, role: pb.MemberRole.ValueType, **fields: Any) -> Any:
    request = pb.CreateApiKeyRequest(workspace_id=workspace, name="ci", role=role, **fields)
    return await auth.members.CreateApiKey(request, metadata=by.metadata)


async def exchanged(auth: Any, secret: str) -> tuple[tuple[str, str], ...]:
    tokens = (await auth.sign_in.ExchangeApiKey(sign_in_pb2.ExchangeApiKeyRequest(api_key=secret))).tokens
    assert not tokens.refresh_token
    return (("authorization", f"Bearer {tokens.access_token}"),)


async def role_of(auth: Any, workspace: str, metadata: Any) -> pb.MemberRole.ValueType:
    service = auth.installation.as_service("workspace", "auth")
    role: pb.MemberRole.ValueType = (await auth.access.GetAccess(pb.GetAccessRequest(workspace_id=workspace), metadata=service + metadata)).role
    return role


async def test_whoever_makes_a_workspace_owns_it_and_nobody_else_does(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await auth_on.found(owner)
    assert await role_of(auth_on, workspace, owner.metadata) == OWNER
    service = auth_on.installation.as_service("workspace", "auth")
    await auth_on.access.FoundWorkspace(pb.FoundWorkspaceRequest(workspace_id=workspace), metadata=service + owner.metadata)
    assert auth_on.log.types(workspace) == ["member.added"]
    other = await auth_on.invite(await auth_on.found(owner), owner, "viewer")
    with refused() as refusal:
        await auth_on.access.FoundWorkspace(pb.FoundWorkspaceRequest(workspace_id=workspace), metadata=service + other.metadata)
    assert refusal.reason == "ALREADY_EXISTS"


async def test_people_cannot_call_what_is_for_services(auth: Any) -> None:
    owner = await auth.owner()
    for call, request in (
        (auth.access.GetAccess, pb.GetAccessRequest(workspace_id="a1" * 16)),
        (auth.access.ListAccess, pb.ListAccessRequest()),
        (auth.access.FoundWorkspace, pb.FoundWorkspaceRequest(workspace_id="a1" * 16)),
    ):
        with refused() as refusal:
            await call(request, metadata=owner.metadata)
        assert refusal.reason == "SERVICE_ONLY"
    with refused() as refusal:
        metadata = auth.installation.as_service("secrets", "auth") + owner.metadata
        await auth.access.FoundWorkspace(pb.FoundWorkspaceRequest(workspace_id="a1" * 16), metadata=metadata)
    assert refusal.reason == "SERVICE_ONLY"


async def test_an_invitation_brings_someone_in(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await auth_on.found(owner)
    editor = await auth_on.invite(workspace, owner, "editor", "Grace@Example.org")
    assert editor.user.email == "grace@example.org"
    assert await role_of(auth_on, workspace, editor.metadata) == EDITOR
    assert list(await listed(auth_on, workspace, editor)) == [owner.id, editor.id]


async def test_nobody_gets_a_link_into_an_account_that_exists(auth: Any) -> None:
    owner = await auth.owner()
    first, second = await auth.found(owner), await auth.found(owner)
    invited = pb.AddMemberRequest(workspace_id=first, email="grace@example.org", role=OWNER)
    assert (await auth.members.AddMember(invited, metadata=owner.metadata)).sign_in_token
    again = pb.AddMemberRequest(workspace_id=second, email="grace@example.org", role=VIEWER)
    assert (await auth.members.AddMember(again, metadata=owner.metadata)).sign_in_token == ""


async def test_adding_twice(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    request = pb.AddMemberRequest(workspace_id=workspace, email="grace@example.org", role=VIEWER, idempotency_key="k1")
    first = await auth.members.AddMember(request, metadata=owner.metadata)
    again = await auth.members.AddMember(request, metadata=owner.metadata)
    assert (again.member, again.sign_in_token) == (first.member, "")
    request.idempotency_key = "k2"
    with refused() as refusal:
        await auth.members.AddMember(request, metadata=owner.metadata)
    assert refusal.reason == "ALREADY_EXISTS"


@pytest.mark.parametrize(("email", "role"), [("nonsense", VIEWER), ("a b@c", VIEWER), ("", VIEWER), ("ok@example.org", 0), ("ok@example.org", 99)])
async def test_invitations_that_make_no_sense(auth: Any, email: str, role: int) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    with refused() as refusal:
        await auth.members.AddMember(pb.AddMemberRequest(workspace_id=workspace, email=email, role=role), metadata=owner.metadata)  # type: ignore[arg-type]
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_editors_deal_with_agents_and_viewers_alone(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    editor = await auth.invite(workspace, owner, "editor")
    agent = await auth.invite(workspace, editor, "agent")
    await set_role(auth, workspace, editor, agent.id, VIEWER)
    for role in (OWNER, EDITOR, AUDITOR):
        with refused() as refusal:
            await auth.members.AddMember(pb.AddMemberRequest(workspace_id=workspace, email="x@example.org", role=role), metadata=editor.metadata)
        assert refusal.reason == "PERMISSION_DENIED"
    for attempt in (
        set_role(auth, workspace, editor, agent.id, EDITOR),
        set_role(auth, workspace, editor, editor.id, OWNER),
        set_role(auth, workspace, editor, owner.id, VIEWER),
        remove(auth, workspace, editor, owner.id),
    ):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "PERMISSION_DENIED"
    await remove(auth, workspace, editor, agent.id)
    assert set(await listed(auth, workspace, owner)) == {owner.id, editor.id}


@pytest.mark.parametrize("role", ["agent", "viewer", "auditor"])
async def test_others_change_nobody(auth: Any, role: str) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    person = await auth.invite(workspace, owner, role)
    with refused() as refusal:
        await set_role(auth, workspace, person, person.id, OWNER)
    assert refusal.reason == "PERMISSION_DENIED"


async def test_the_last_owner_stays(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await auth_on.found(owner)
    for attempt in (set_role(auth_on, workspace, owner, owner.id, EDITOR), remove(auth_on, workspace, owner, owner.id)):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "LAST_OWNER"
    second = await auth_on.invite(workspace, owner, "owner")
    await remove(auth_on, workspace, second, owner.id)
    with refused() as refusal:
        await remove(auth_on, workspace, second, second.id)
    assert refusal.reason == "LAST_OWNER"


async def test_a_role_that_was_taken_is_gone_at_once(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    viewer = await auth.invite(workspace, owner, "viewer")
    await listed(auth, workspace, viewer)
    await remove(auth, workspace, owner, viewer.id)
    with refused() as refusal:
        await listed(auth, workspace, viewer)
    assert refusal.reason == "NOT_FOUND"


async def test_a_member_that_changed_meanwhile(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    viewer = await auth.invite(workspace, owner, "viewer")
    etag = (await listed(auth, workspace, owner))[viewer.id].etag
    await set_role(auth, workspace, owner, viewer.id, AGENT, etag)
    with refused() as refusal:
        await set_role(auth, workspace, owner, viewer.id, EDITOR, etag)
    assert refusal.reason == "ETAG_MISMATCH"


async def test_members_of_another_workspace_see_and_change_nothing(auth: Any) -> None:
    admin = await auth.owner()
    workspace = await auth.found(admin)
    stranger = await auth.invite(await auth.found(admin), admin, "owner")
    for attempt in (
        listed(auth, workspace, stranger),
        set_role(auth, workspace, stranger, admin.id, VIEWER),
        new_key(auth, workspace, stranger, VIEWER),
    ):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "NOT_FOUND"


async def test_an_organisation_admin_alone_learns_which_workspaces_exist(auth: Any) -> None:
    admin = await auth.owner()
    stranger = await auth.invite(await auth.found(admin), admin, "owner")
    theirs, nowhere = await auth.found(stranger), "ef" * 16

    async def reason(who: Any, workspace_id: str) -> str:
        with refused() as refusal:
            await auth.members.CreateApiKey(pb.CreateApiKeyRequest(workspace_id=workspace_id, name="k", role=VIEWER), metadata=who.metadata)
        return refusal.reason

    assert (await reason(admin, theirs), await reason(admin, nowhere)) == ("PERMISSION_DENIED", "NOT_FOUND")
    outsider = await auth.invite(await auth.found(admin), admin, "owner")
    assert (await reason(outsider, theirs), await reason(outsider, nowhere)) == ("NOT_FOUND", "NOT_FOUND")
    with refused() as refusal:
        await listed(auth, nowhere, admin)
    assert refusal.reason == "NOT_FOUND"


async def test_an_organisation_admin_manages_members_everywhere(auth: Any) -> None:
    admin = await auth.owner()
    other = await auth.invite(await auth.found(admin), admin, "viewer")
    workspace = await auth.found(other)
    assert set(await listed(auth, workspace, admin)) == {other.id}
    helper = await auth.invite(workspace, admin, "owner")
    assert set(await listed(auth, workspace, helper)) == {other.id, helper.id}


async def test_nothing_changes_when_the_log_does_not_answer(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await auth_on.found(owner)
    viewer = await auth_on.invite(workspace, owner, "viewer")
    key = (await new_key(auth_on, workspace, owner, AGENT)).api_key
    auth_on.log.broken = True
    for attempt in (
        auth_on.invite(workspace, owner, "viewer", "new@example.org"),
        set_role(auth_on, workspace, owner, viewer.id, OWNER),
        remove(auth_on, workspace, owner, viewer.id),
        new_key(auth_on, workspace, owner, AGENT),
        auth_on.members.RevokeApiKey(pb.RevokeApiKeyRequest(workspace_id=workspace, api_key_id=key.id), metadata=owner.metadata),
        auth_on.found(owner),
    ):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "UNAVAILABLE"
    members = await listed(auth_on, workspace, owner)
    assert {member.role for member in members.values()} == {OWNER, VIEWER}
    keys = (await auth_on.members.ListApiKeys(pb.ListApiKeysRequest(workspace_id=workspace), metadata=owner.metadata)).api_keys
    assert [(one.id, one.revoked) for one in keys] == [(key.id, False)]
    access = await auth_on.access.ListAccess(pb.ListAccessRequest(), metadata=auth_on.installation.as_service("workspace", "auth") + owner.metadata)
    assert [one.workspace_id for one in access.access] == [workspace]


async def test_every_change_is_in_the_log(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    viewer = await auth.invite(workspace, owner, "viewer")
    await set_role(auth, workspace, owner, viewer.id, AGENT)
    await remove(auth, workspace, owner, viewer.id)
    key = (await new_key(auth, workspace, owner, AGENT)).api_key
    await auth.members.RevokeApiKey(pb.RevokeApiKeyRequest(workspace_id=workspace, api_key_id=key.id), metadata=owner.metadata)
    entries = auth.log.entries[workspace]
    kinds = ["member.added", "member.added", "member.role_changed", "member.removed", "api_key.created", "api_key.revoked"]
    assert [entry.type for entry in entries] == kinds
    assert {entry.user_id for entry in entries} == {owner.id}
    assert entries[2].subjects == [f"user:{viewer.id}"] and '"MEMBER_ROLE_AGENT"' in entries[2].body_json
    assert len({entry.idempotency_key for entry in entries}) == len(entries)


async def test_lists_come_in_pages_of_their_own(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    for _ in range(4):
        await auth.members.AddMember(
            pb.AddMemberRequest(workspace_id=workspace, email=f"{secrets.token_hex(4)}@example.org", role=VIEWER), metadata=owner.metadata
        )
    seen, token = [], ""
    while True:
        page = await auth.members.ListMembers(pb.ListMembersRequest(workspace_id=workspace, page_size=2, page_token=token), metadata=owner.metadata)
        seen += [member.user_id for member in page.members]
        token = page.next_page_token
        if not token:
            break
        last = token
    assert len(seen) == len(set(seen)) == 5
    with refused() as refusal:
        await auth.members.ListApiKeys(pb.ListApiKeysRequest(workspace_id=workspace, page_token=last), metadata=owner.metadata)
    assert refusal.reason == "PAGE_TOKEN_INVALID"


async def test_an_api_key_acts_for_its_creator_in_its_workspace_alone(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace, other = await auth_on.found(owner), await auth_on.found(owner)
    made = await new_key(auth_on, workspace, owner, AGENT)
    assert made.secret.startswith("spk1.")
    machine = await exchanged(auth_on, made.secret)
    assert await role_of(auth_on, workspace, machine) == AGENT
    with refused() as refusal:
        await role_of(auth_on, other, machine)
    assert refusal.reason == "NOT_FOUND"
    access = await auth_on.access.ListAccess(pb.ListAccessRequest(), metadata=auth_on.installation.as_service("workspace", "auth") + machine)
    assert [(one.workspace_id, one.role) for one in access.access] == [(workspace, AGENT)]


async def test_an_api_key_never_exceeds_its_creator(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    editor = await auth.invite(workspace, owner, "editor")
    with refused() as refusal:
        await new_key(auth, workspace, editor, OWNER)
    assert refusal.reason == "PERMISSION_DENIED"
    machine = await exchanged(auth, (await new_key(auth, workspace, editor, EDITOR)).secret)
    await set_role(auth, workspace, owner, editor.id, VIEWER)
    assert await role_of(auth, workspace, machine) == VIEWER
    await remove(auth, workspace, owner, editor.id)
    with refused() as refusal:
        await role_of(auth, workspace, machine)
    assert refusal.reason == "NOT_FOUND"


async def test_an_api_key_hands_out_no_access(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    machine = await exchanged(auth, (await new_key(auth, workspace, owner, OWNER)).secret)
    for call, request in (
        (auth.members.AddMember, pb.AddMemberRequest(workspace_id=workspace, email="x@example.org", role=VIEWER)),
        (auth.members.CreateApiKey, pb.CreateApiKeyRequest(workspace_id=workspace, name="more", role=VIEWER)),
        (auth.sign_in.SetPassword, sign_in_pb2.SetPasswordRequest(new_password="correct horse battery")),
    ):
        with refused() as refusal:
            await call(request, metadata=machine)
        assert refusal.reason in ("PERMISSION_DENIED", "INVALID_ARGUMENT")
    with refused() as refusal:
        service = auth.installation.as_service("workspace", "auth")
        await auth.access.FoundWorkspace(pb.FoundWorkspaceRequest(workspace_id="e5" * 16), metadata=service + machine)
    assert refusal.reason == "PERMISSION_DENIED"


async def test_a_revoked_key_is_dead_and_its_tokens_with_it(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    made = await new_key(auth, workspace, owner, AGENT)
    machine = await exchanged(auth, made.secret)
    await role_of(auth, workspace, machine)
    await auth.members.RevokeApiKey(pb.RevokeApiKeyRequest(workspace_id=workspace, api_key_id=made.api_key.id), metadata=owner.metadata)
    with refused() as refusal:
        await role_of(auth, workspace, machine)
    assert refusal.reason == "UNAUTHENTICATED"
    with refused() as refusal:
        await exchanged(auth, made.secret)
    assert refusal.reason == "UNAUTHENTICATED"


async def test_an_api_key_expires(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    now = auth.installation.clock()
    with refused() as refusal:
        await new_key(auth, workspace, owner, AGENT, expires_at_ms=now)
    assert refusal.reason == "INVALID_ARGUMENT"
    made = await new_key(auth, workspace, owner, AGENT, expires_at_ms=now + 60_000)
    await exchanged(auth, made.secret)
    auth.installation.clock.advance(61)
    with refused() as refusal:
        await exchanged(auth, made.secret)
    assert refusal.reason == "UNAUTHENTICATED"


async def test_a_repeated_creation_does_not_show_the_secret_again(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await auth_on.found(owner)
    first = await new_key(auth_on, workspace, owner, AGENT, idempotency_key="k1")
    again = await new_key(auth_on, workspace, owner, AGENT, idempotency_key="k1")
    assert (again.api_key.id, again.secret) == (first.api_key.id, "")
    await asyncio.gather(*(new_key(auth_on, workspace, owner, AGENT) for _ in range(3)))
    keys = (await auth_on.members.ListApiKeys(pb.ListApiKeysRequest(workspace_id=workspace), metadata=owner.metadata)).api_keys
    assert len(keys) == 4
