"""Texts and page tokens that no honest client sends: refused in words, on each engine, and never as something that failed inside."""

from typing import Any

import pytest

from spin_services.database import pages
from spinapis.auth.v1 import members_pb2 as pb
from spinapis.auth.v1 import sign_in_pb2
from tests.fakes.installation import refused


@pytest.mark.parametrize("email", ["a\0b@example.org", "ada@example.org\0"])
async def test_a_text_with_nul_is_a_bad_field(auth_on: Any, email: str) -> None:
    owner = await auth_on.owner()
    request = pb.AddMemberRequest(workspace_id=await auth_on.found(owner), email=email, role=pb.MEMBER_ROLE_VIEWER)
    with refused() as refusal:
        await auth_on.members.AddMember(request, metadata=owner.metadata)
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_a_sign_in_with_nul_is_wrong_like_any_other(auth_on: Any) -> None:
    with refused() as refusal:
        await auth_on.sign_in.SignInWithPassword(sign_in_pb2.SignInWithPasswordRequest(email="a\0@example.org", password="p" * 12))
    assert refusal.reason in ("INVALID_ARGUMENT", "CREDENTIALS_INVALID")


@pytest.mark.parametrize("position", [("x", "y"), (2**63, "y"), (-1, "y"), (1,), (), (1, 2, 3), (1, "\0"), ("1", 1)])
async def test_a_page_token_of_ones_own_making_is_none_of_the_list(auth_on: Any, position: tuple[str | int, ...]) -> None:
    owner = await auth_on.owner()
    workspace = await auth_on.found(owner)
    token = pages.encode(f"members:{workspace}", *position)
    with refused() as refusal:
        await auth_on.members.ListMembers(pb.ListMembersRequest(workspace_id=workspace, page_token=token), metadata=owner.metadata)
    assert refusal.reason == "PAGE_TOKEN_INVALID"
