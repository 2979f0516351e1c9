"""A person with a browser signs in at their company's OpenID provider, with the platform's documented settings and no other."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform
from spinapis.auth.v1 import members_pb2
from spinapis.workspace.v1 import workspaces_pb2
from tests.end_to_end.browser_page import browser, watched_page
from tests.fakes import openid


@pytest.fixture
def provider(running: RunningPlatform, openid_port: int) -> Iterator[openid.OpenIdProvider]:
    with openid.running([f"{running.settings.public_url}/sign-in/callback"], openid_port) as started:
        yield started


@asynccontextmanager
async def at_the_sign_in_page(running: RunningPlatform) -> AsyncIterator[tuple[Page, list[str]]]:
    """The provider's pages want a typeface from elsewhere and have no icon: neither is asked for."""
    async with browser() as context:
        await context.route(re.compile("^https://|/favicon.ico$"), lambda route: route.fulfill(body=""))
        page, errors = await watched_page(context)
        await page.goto(f"{running.settings.public_url}/sign-in")
        await page.get_by_role("button", name="Continue with Corporate").click()
        yield page, errors


async def test_an_invited_person_signs_in_at_the_provider_and_lands_in_the_workspace(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, provider: openid.OpenIdProvider
) -> None:
    invitation = members_pb2.AddMemberRequest(workspace_id=workspace.id, email="ada@example.org", role=members_pb2.MEMBER_ROLE_EDITOR)
    await owner.members.AddMember(invitation)
    async with at_the_sign_in_page(running) as (page, errors):
        await page.get_by_placeholder("Enter any login").fill("ada")
        await page.get_by_placeholder("and password").fill("anything")
        assert page.url.startswith(provider.issuer)
        await page.get_by_role("button", name="Sign-in").click()
        await page.get_by_role("button", name="Continue").click()
        await page.get_by_role("link", name="Sample", exact=True).first.click()
        await page.get_by_role("link", name="A slow checkout", exact=True).click()
        await page.locator("[data-cell-id]").first.wait_for()
        assert page.url.startswith(running.settings.public_url) and "code=" not in page.url
        assert errors == []


async def test_a_person_who_cancels_is_told_so_and_may_start_again(running: RunningPlatform, provider: openid.OpenIdProvider) -> None:
    async with at_the_sign_in_page(running) as (page, errors):
        await page.get_by_role("link", name="[ Cancel ]").click()
        await page.get_by_text("End-User aborted interaction").wait_for()
        assert "error" not in page.url
        await page.get_by_role("link", name="Back to the sign-in page").click()
        await page.get_by_role("button", name="Continue with Corporate").wait_for()
        assert errors == []
