"""A person opens a notebook in whose kernel somebody else's code ran: the page says whose, what is left, and which of the two happened."""

import secrets

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, RuntimeSession
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.end_to_end.browser_page import browser, open_notebook, watched_page
from tests.end_to_end.test_attack_tainted_kernels import api, connected, mallory, python
from tests.end_to_end.test_browser_accessibility import faults
from tests.fakes.cell_runs import ran_well
from tests.fakes.connected_system import ConnectedSystem

__all__ = ["api", "mallory"]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_choice_is_offered_and_what_happened_is_told(
    running: RunningPlatform,
    owner: Platform,
    mallory: Platform,
    workspace: workspaces_pb2.Workspace,
    api: ConnectedSystem,
    confidential: set[str],
    theme: str,
) -> None:
    connection = await connected(owner, workspace.id, api, confidential)
    title = f"Handed over {secrets.token_hex(3)}"
    cell = notebooks_pb2.Cell(id="one", cell_type="python", source="1 + 1")
    book = notebooks_pb2.CreateNotebookRequest(workspace_id=workspace.id, idempotency_key=title, title=title, cells=[cell])
    made = (await owner.notebooks.CreateNotebook(book)).notebook
    async with await RuntimeSession.open(mallory, workspace.id, made.id) as hers:
        await ran_well(hers, python("1"))
    async with browser(color_scheme=theme) as context:
        page, errors = await watched_page(context)
        await open_notebook(page, f"{running.settings.public_url}/sign-in#token={running.new_token()}", workspace.name, title)
        await page.get_by_text("ran in this kernel").filter(has_text="Code of mallory-").wait_for()
        assert "mallory-" in await page.get_by_test_id("kernel-people").inner_text()
        said = page.get_by_test_id("hand-over").filter(has_text=connection.name)
        await said.wait_for()
        assert "Not until the kernel is restarted" in await said.inner_text()
        assert await faults(page, "handed over") == []
        await page.get_by_role("button", name="Keep it").click()
        await page.get_by_text("You kept the kernel with code of mallory-").wait_for()
        await page.get_by_role("button", name="Restart the kernel").click()
        await page.get_by_text("The kernel was restarted").wait_for()
        assert not await page.get_by_test_id("hand-over").count()
        assert errors == []
