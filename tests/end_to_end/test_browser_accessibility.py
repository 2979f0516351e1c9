"""Each page in light and in dark, as axe-core sees it: nothing serious, nothing critical."""

import re

import pytest
from playwright.async_api import Page

from scripts.platform.apart import RunningPlatform
from scripts.platform.settings import ROOT
from spin_client.sdk import Platform
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import workspaces_pb2
from tests.end_to_end.browser_page import browser, open_notebook, watched_page

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter(({impact}) => impact === "serious" || impact === "critical")
  .flatMap(({id, nodes}) => nodes.map(({target, failureSummary}) => `${id} ${target} ${failureSummary}`))"""


async def faults(page: Page, place: str) -> list[str]:
    """axe is evaluated and not added as a script: the page's content policy would refuse that, and is to stay on."""
    await page.evaluate(AXE.read_text())
    return [f"{place}: {found}" for found in await page.evaluate(RUN)]


async def dialog(page: Page, opener: str) -> list[str]:
    await page.get_by_role("button", name=opener).first.click()
    await page.get_by_role("dialog").wait_for()
    found = await faults(page, opener)
    await page.keyboard.press("Escape")
    await page.get_by_role("dialog").wait_for(state="detached")
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_no_page_has_a_serious_fault(running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, theme: str) -> None:
    tried = f"Axe {theme}"
    order = secrets_pb2.CreateConnectionRequest(workspace_id=workspace.id, name=tried, kind="rest", config_json='{"base_url": "http://127.0.0.1:9"}')
    await owner.connections.CreateConnection(order)
    async with browser(color_scheme=theme) as context:
        page, _ = await watched_page(context)
        await page.goto(f"{running.settings.public_url}/sign-in")
        await page.get_by_role("heading", name="Sign in").wait_for()
        found = await faults(page, "sign-in")
        await open_notebook(page, f"{running.settings.public_url}/sign-in?again#token={running.new_token()}", "Sample", "A slow checkout")
        await page.locator('[data-cell-id="verdict"][data-cell-state="ok"]').wait_for()
        found += await faults(page, "notebook")
        await page.get_by_role("button", name="More for the notebook").click()
        await page.get_by_role("menuitem", name="Versions").wait_for()
        found += await faults(page, "menu")
        await page.get_by_role("menuitem", name="Versions").click()
        await page.get_by_role("tab", name="As it was").wait_for()
        found += await faults(page, "versions")
        await page.get_by_role("tab", name="As it was").click()
        found += await faults(page, "version")
        for part, opener in {
            "Notebooks": "",
            "Approvals": "",
            "Runtimes": "Add a runtime",
            "Connections": "New connection",
            "Members": "Remove",
            "API keys": "New API key",
            "Settings": "",
        }.items():
            await page.get_by_role("navigation").get_by_role("link", name=part, exact=True).click()
            await page.get_by_role("heading", level=1, name=part).wait_for()
            found += await faults(page, part)
            if opener:
                found += await dialog(page, opener)
        await page.get_by_role("link", name="Connections", exact=True).click()
        await page.get_by_role("button", name=f"Actions for {tried}").wait_for()
        found += await faults(page, "connection")
        found += await dialog(page, f"Test {tried}")
        await page.get_by_role("link", name="History", exact=True).click()
        await page.get_by_role("link", name=re.compile("A slow checkout")).first.wait_for()
        found += await faults(page, "history")
        await page.get_by_role("link", name=re.compile("A slow checkout")).first.click()
        await page.get_by_role("button", name=re.compile("verify|proof", re.I)).first.wait_for()
        found += await faults(page, "session")
        for path, heading in {"/": "Workspaces", "/account": "Your account"}.items():
            await page.goto(f"{running.settings.public_url}{path}")
            await page.get_by_role("heading", level=1, name=heading).wait_for()
            found += await faults(page, path)
        assert found == []
