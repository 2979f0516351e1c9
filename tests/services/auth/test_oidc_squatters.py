"""Whoever was in an invited person's account before the person came by the provider is out of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from spinapis.auth.v1 import members_pb2
from spinapis.auth.v1 import sign_in_pb2 as pb
from tests.fakes.installation import Installation, Metadata, refused
from tests.fakes.oidc_browser import ADA, person_at, running, settings, through

SQUATTED = "four unrelated words of mallory"


async def api_key(auth: Any, workspace: str, by: Any) -> Any:
    request = members_pb2.CreateApiKeyRequest(workspace_id=workspace, name="ci", role=members_pb2.MEMBER_ROLE_VIEWER)
    return await auth.members.CreateApiKey(request, metadata=by.metadata)


async def exchanged(auth: Any, made: Any) -> Metadata:
    answer = await auth.sign_in.ExchangeApiKey(pb.ExchangeApiKeyRequest(api_key=made.secret))
    return (("authorization", f"Bearer {answer.tokens.access_token}"),)


@pytest.fixture
async def installation_on(tmp_path: Path, database_url: str) -> AsyncIterator[Installation]:
    made = Installation(tmp_path / "installation", database_url)
    yield made
    await made.close()


async def test_whoever_invited_a_person_is_out_of_the_account_when_its_owner_comes(installation_on: Any, auth_class: Any, provider: str) -> None:
    """An invitation's link is in the inviter's hands. Used first or kept for later, it leads not into somebody's account."""
    auth = await running(installation_on, auth_class, settings(provider))
    owner = await auth.owner()
    workspace = await auth.found(owner)
    mallory = await auth.invite(workspace, owner, "owner")
    request = members_pb2.AddMemberRequest(workspace_id=workspace, email="ada@example.org", role=members_pb2.MEMBER_ROLE_EDITOR)
    squatter = await auth.redeem((await auth.members.AddMember(request, metadata=mallory.metadata)).sign_in_token)
    await auth.sign_in.SetPassword(pb.SetPasswordRequest(new_password=SQUATTED), metadata=squatter.metadata)
    kept, others = await api_key(auth, workspace, squatter), await api_key(auth, workspace, mallory)
    machine = await exchanged(auth, kept)
    await person_at(provider, "ada-1", ADA)
    ada = await through(auth, "ada-1")
    assert ada.user.id == squatter.id
    for attempt in (exchanged(auth, kept), auth.sign_in.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=machine)):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "UNAUTHENTICATED"
    assert await exchanged(auth, others)
    revoked = auth.log.entries[workspace][-1]
    assert (revoked.type, revoked.user_id, revoked.subjects) == ("api_key.revoked", ada.user.id, [f"api_key:{kept.api_key.id}"])
    with refused() as refusal:
        await auth.sign_in.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=squatter.metadata)
    assert refusal.reason == "UNAUTHENTICATED"
    with refused() as refusal:
        await auth.sign_in.RefreshTokens(pb.RefreshTokensRequest(refresh_token=squatter.tokens.refresh_token))
    assert refusal.reason == "UNAUTHENTICATED"
    with refused() as refusal:
        await auth.sign_in.SignInWithPassword(pb.SignInWithPasswordRequest(email="ada@example.org", password=SQUATTED))
    assert refusal.reason == "CREDENTIALS_INVALID"
    assert (await through(auth, "ada-1")).user.id == ada.user.id


async def test_nobody_comes_into_an_account_while_its_api_keys_cannot_be_revoked_in_the_log(
    installation: Any, auth_class: Any, provider: str
) -> None:
    auth = await running(installation, auth_class, settings(provider))
    owner = await auth.owner()
    workspace = await auth.found(owner)
    squatter = await auth.invite(workspace, owner, "editor", "ada@example.org")
    key = await api_key(auth, workspace, squatter)
    await person_at(provider, "ada-1", ADA)
    auth.log.broken = True
    with refused() as refusal:
        await through(auth, "ada-1")
    assert refusal.reason == "UNAVAILABLE"
    auth.log.broken = False
    assert (await through(auth, "ada-1")).user.id == squatter.id
    with refused() as refusal:
        await exchanged(auth, key)
    assert refusal.reason == "UNAUTHENTICATED"


async def test_an_invitations_link_is_void_once_the_invited_came_by_the_provider(installation: Any, auth_class: Any, provider: str) -> None:
    auth = await running(installation, auth_class, settings(provider))
    owner = await auth.owner()
    request = members_pb2.AddMemberRequest(workspace_id=await auth.found(owner), email="ada@example.org", role=members_pb2.MEMBER_ROLE_VIEWER)
    link = (await auth.members.AddMember(request, metadata=owner.metadata)).sign_in_token
    await person_at(provider, "ada-1", ADA)
    ada = await through(auth, "ada-1")
    with refused() as refusal:
        await auth.redeem(link)
    assert refusal.reason == "SIGN_IN_LINK_INVALID"
    metadata = (("authorization", f"Bearer {ada.tokens.access_token}"),)
    assert (await auth.sign_in.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=metadata)).user.id == ada.user.id
