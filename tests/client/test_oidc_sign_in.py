"""Signing in with the person's browser: the loopback page takes one answer, the right one."""

import asyncio

import aiohttp
import pytest

from spin_client.sdk import MemoryStore, Platform, SpinError
from tests.fakes.platform import EMAIL, FakePlatform


async def visited(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as browser, browser.get(url) as page:
        return page.status, await page.text()


async def sign_in(control_plane: FakePlatform, *queries: str) -> str:
    pages: list[asyncio.Task[tuple[int, str]]] = []

    def browser(url: str) -> None:
        target = url.partition("redirect_uri=")[2]

        async def walk() -> tuple[int, str]:
            for query in queries:
                last = await visited(f"{target}?{query}")
            return last

        pages.append(asyncio.create_task(walk()))

    async with await Platform.connect(control_plane.url, store=MemoryStore()) as platform:
        try:
            user = await platform.sign_in_with_oidc("company", browser, port=18976)
        finally:
            await asyncio.gather(*pages)
        return user.email


async def test_the_code_comes_back_and_signs_in(control_plane: FakePlatform) -> None:
    assert await sign_in(control_plane, "state=state-1&code=code-1") == EMAIL


async def test_an_answer_with_another_state_is_not_taken(control_plane: FakePlatform) -> None:
    assert await sign_in(control_plane, "state=forged&code=evil", "state=state-1&code=code-1") == EMAIL


async def test_the_providers_refusal_is_said(control_plane: FakePlatform) -> None:
    with pytest.raises(SpinError, match="access_denied"):
        await sign_in(control_plane, "state=state-1&error=access_denied")
