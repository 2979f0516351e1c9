"""A page in real Chromium that remembers what went wrong in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import BrowserContext, Locator, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
# As root there is no sandbox for the browser to build; background networking would ask hosts that tests must not reach.
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-gpu"]
RUN_TIMEOUT_MS = 60_000
# Of a cell's execution count: another number than before.
COUNTED_ON = """([id, before]) => {
  const text = document.querySelector(`[data-cell-id="${id}"] .cell__count`).textContent;
  return /\\d/.test(text) && text !== before;
}"""


@asynccontextmanager
async def browser(**options: object) -> AsyncIterator[BrowserContext]:
    """A fresh browser profile."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = await chromium.new_context(viewport={"width": 1280, "height": 900}, **options)  # type: ignore[arg-type]
        try:
            yield context
        finally:
            await chromium.close()


async def watched_page(context: BrowserContext) -> tuple[Page, list[str]]:
    """A page, and the list that its errors go to: exceptions, console errors (violations of the content policy among them)."""
    page = await context.new_page()
    page.set_default_timeout(20_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return page, errors


async def open_notebook(page: Page, link: str, workspace: str, title: str) -> None:
    """Signs in with a link and opens a notebook as a person does."""
    await page.goto(link)
    await page.get_by_role("link", name=workspace, exact=True).first.click()
    await page.get_by_role("link", name=title, exact=True).click()
    await page.locator("[data-cell-id]").first.wait_for()


def cell(page: Page, cell_id: str) -> Locator:
    return page.locator(f'[data-cell-id="{cell_id}"]')


async def count(page: Page, cell_id: str) -> str:
    """The cell's execution count as it is shown: "[7]"."""
    return await cell(page, cell_id).locator(".cell__count").inner_text()


async def wait_state(page: Page, cell_id: str, *states: str) -> str:
    """Waits until the cell's run is in one of the states, and says which."""
    selector = ", ".join(f'[data-cell-id="{cell_id}"][data-cell-state="{state}"]' for state in states)
    await page.locator(selector).wait_for(timeout=RUN_TIMEOUT_MS)
    return str(await cell(page, cell_id).get_attribute("data-cell-state"))
