"""Two people in two browsers: one asks for the approval of a run, the other decides, and the first runs the cell."""

import json
import secrets
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from playwright.async_api import Locator, Page

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform
from spinapis.auth.v1 import members_pb2
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.end_to_end.browser_page import browser, cell, open_notebook, wait_state, watched_page
from tests.end_to_end.test_browser_accessibility import faults
from tests.fakes.connected_system import ConnectedSystem


@pytest.fixture
async def api() -> AsyncIterator[ConnectedSystem]:
    async with ConnectedSystem(lambda _: web.json_response({"purged": 12})) as running:
        yield running


async def guarded_notebook(owner: Platform, workspace_id: str, host: str, confidential: set[str]) -> str:
    """The title of a notebook whose cell `purge` uses a guarded connection."""
    name, token = f"guarded {secrets.token_hex(3)}", f"token-{secrets.token_hex(12)}"
    confidential.add(token)
    create = secrets_pb2.CreateConnectionRequest(
        workspace_id=workspace_id,
        name=name,
        kind="rest",
        config_json=json.dumps({"base_url": f"http://{host}", "auth": "bearer"}),
        credential_json=json.dumps({"token": token}),
        allowed_hosts=[host],
        approval_operations=["rest.request"],
    )
    await owner.connections.CreateConnection(create)
    fields = json.dumps({"connection": name, "url": "/purge", "method": "DELETE"})
    purge = notebooks_pb2.Cell(id="purge", cell_type="rest", fields_json=fields)
    book = notebooks_pb2.CreateNotebookRequest(workspace_id=workspace_id, idempotency_key=name, title=f"Purges {name}", cells=[purge])
    return (await owner.notebooks.CreateNotebook(book)).notebook.title


async def open_approvals(page: Page, sign_in: str) -> None:
    await page.goto(sign_in)
    await page.get_by_role("link", name="Sample", exact=True).first.click()
    await page.get_by_role("navigation").get_by_role("link", name="Approvals", exact=True).click()
    await page.get_by_role("heading", level=1, name="Approvals").wait_for()


def listed(page: Page, part: str, title: str) -> Locator:
    """The requests about a notebook in one part of the page."""
    return page.get_by_role("list", name=part).get_by_role("listitem").filter(has_text=title)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_run_waits_for_a_second_person(
    running: RunningPlatform,
    owner: Platform,
    workspace: workspaces_pb2.Workspace,
    api: ConnectedSystem,
    confidential: set[str],
    theme: str,
) -> None:
    host = api.host
    title = await guarded_notebook(owner, workspace.id, host, confidential)
    email = f"second-{secrets.token_hex(3)}@example.org"
    add = members_pb2.AddMemberRequest(workspace_id=workspace.id, email=email, role=members_pb2.MEMBER_ROLE_EDITOR)
    second_token = (await owner.members.AddMember(add)).sign_in_token
    links = [f"{running.settings.public_url}/sign-in#token={token}" for token in (running.new_token(), second_token)]
    async with browser(color_scheme=theme) as asking, browser(color_scheme=theme) as deciding:
        first, first_errors = await watched_page(asking)
        second, second_errors = await watched_page(deciding)
        await open_notebook(first, links[0], "Sample", title)
        await cell(first, "purge").get_by_role("button", name="Run the cell").click()
        assert await wait_state(first, "purge", "unapproved", "ok", "failed", "refused") == "unapproved"
        found = await faults(first, "asking")
        await cell(first, "purge").get_by_label("Note").fill("the queue is stuck")
        await cell(first, "purge").get_by_role("button", name="Ask for approval").dblclick()
        await cell(first, "purge").get_by_text("May decide:").filter(has_text=email).wait_for()
        found += await faults(first, "waiting")

        await open_approvals(second, links[1])
        request = listed(second, "Waiting", title)
        await request.get_by_text("the queue is stuck").wait_for()
        await request.get_by_role("textbox", name="Fields of the cell").filter(has_text="/purge").wait_for()
        found += await faults(second, "approvals")
        await request.get_by_label("Note").fill("go on")
        await request.get_by_role("button", name="Approve", exact=True).dblclick()
        await listed(second, "Before", title).get_by_text("Approved by").wait_for()

        await cell(first, "purge").get_by_text(f"Approved by {email} until").wait_for()
        found += await faults(first, "approved")
        assert api.hits == []
        await cell(first, "purge").get_by_role("button", name="Run", exact=True).dblclick()
        assert await wait_state(first, "purge", "ok", "failed", "refused") == "ok"
        assert api.hits == ["DELETE /purge"]
        # The approval was for one run; the next one is asked for anew, and whoever asked cannot decide.
        await cell(first, "purge").get_by_role("button", name="Run the cell").click()
        await cell(first, "purge").get_by_role("button", name="Ask for approval").click()
        await cell(first, "purge").get_by_text("May decide:").wait_for()
        await first.get_by_role("link", name="Approvals", exact=True).click()
        own = listed(first, "Waiting", title)
        await own.get_by_text("somebody else has to decide").wait_for()
        assert await own.get_by_role("button", name="Approve", exact=True).is_disabled()
        found += await faults(first, "own")
        await listed(second, "Waiting", title).get_by_label("Note").fill("not today")
        await listed(second, "Waiting", title).get_by_role("button", name="Refuse", exact=True).click()
        await listed(first, "Before", title).filter(has_text="not today").wait_for()
        assert api.hits == ["DELETE /purge"]
        assert found == []
        assert [error for error in first_errors + second_errors if "status of 400" not in error] == []
