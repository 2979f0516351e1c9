"""A person with a browser keeps a workspace: versions, API keys, connections, members, a child's session, with bad input and without permission."""

import asyncio
import json
import os
import re
import secrets

from playwright.async_api import Page

from scripts.platform import programs
from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform
from spinapis.auth.v1 import members_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.end_to_end.browser_page import browser, cell, open_notebook, wait_state, watched_page
from tests.fakes.local_api import LocalApi


def link(running: RunningPlatform, token: str = "") -> str:
    return f"{running.settings.public_url}/sign-in#token={token or running.new_token()}"


async def open_part(page: Page, address: str, workspace: str, part: str) -> None:
    await page.goto(address)
    await page.get_by_role("link", name=workspace, exact=True).first.click()
    await page.get_by_role("navigation").get_by_role("link", name=part, exact=True).click()
    await page.get_by_role("heading", level=1, name=part).wait_for()


async def make_notebook(owner: Platform, workspace_id: str, title: str, *cells: notebooks_pb2.Cell) -> notebooks_pb2.Notebook:
    request = notebooks_pb2.CreateNotebookRequest(workspace_id=workspace_id, idempotency_key=title, title=title, cells=cells)
    return (await owner.notebooks.CreateNotebook(request)).notebook


async def test_a_version_is_compared_and_restored_once(running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace) -> None:
    made = await make_notebook(owner, workspace.id, "Versions", notebooks_pb2.Cell(id="c1", cell_type="python", source="before = 1"))
    async with browser() as context:
        page, errors = await watched_page(context)
        await open_notebook(page, link(running), "Sample", "Versions")
        await cell(page, "c1").locator(".cm-content").click()
        await page.keyboard.press("Control+a")
        await page.keyboard.type("after = 2")
        await page.get_by_role("button", name="More for the notebook").click()
        await page.get_by_role("menuitem", name="Versions").click()
        await page.get_by_role("heading", name="Version 1").wait_for()
        changed = page.get_by_role("region", name=re.compile("cell c1: changed since"))
        assert "before = 1" in await changed.inner_text() and "after = 2" in await changed.inner_text()
        assert await page.get_by_text("Since then: 1 cell changed.").count() == 1
        await page.get_by_role("tab", name="As it was").click()
        assert "after = 2" not in await page.get_by_role("region", name="python cell c1").inner_text()
        await page.get_by_role("button", name="Restore", exact=True).click()
        await page.get_by_role("button", name="Restore version 1").dblclick()
        await cell(page, "c1").get_by_text("before = 1").wait_for()
        listed = notebooks_pb2.ListNotebookVersionsRequest(workspace_id=workspace.id, notebook_id=made.id)
        assert [version.version for version in (await owner.notebooks.ListNotebookVersions(listed)).versions] == [3, 2, 1]
        assert errors == []


async def spinctl(running: RunningPlatform, api_key: str, *arguments: str) -> tuple[int, str]:
    environment = {"PATH": os.environ["PATH"], "SPIN_URL": running.settings.public_url, "SPIN_API_KEY": api_key, "HOME": str(running.settings.data)}
    command = [str(programs.BIN / "spinctl"), "--workspace", "Sample", "--json", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL
    )
    said, _ = await process.communicate()
    return int(process.returncode or 0), said.decode()


async def test_a_key_made_in_the_page_lets_spinctl_in_until_it_is_revoked(running: RunningPlatform, confidential: set[str]) -> None:
    name = f"CI {secrets.token_hex(3)}"
    async with browser() as context:
        page, errors = await watched_page(context)
        await open_part(page, link(running), "Sample", "API keys")
        await page.get_by_role("button", name="New API key").click()
        await page.get_by_label("Name").fill(name)
        await page.get_by_role("button", name="Create", exact=True).dblclick()
        key = await page.get_by_label("API key", exact=True).inner_text()
        confidential.add(key)
        assert re.fullmatch(r"spk1\.\S{30,}", key)
        await page.get_by_role("button", name="I have copied it").click()
        row = page.get_by_role("listitem").filter(has_text=name)
        assert await row.count() == 1 and key not in await page.content()
        assert "never used" in await row.inner_text()
        status, said = await spinctl(running, key, "notebook", "list")
        assert status == 0 and "A slow checkout" in said, said
        await page.reload()
        await row.get_by_text("last used").wait_for()
        await row.get_by_role("button", name=f"Revoke {name}").click()
        await page.get_by_role("button", name="Revoke", exact=True).dblclick()
        await row.get_by_text("Revoked").wait_for()
        assert errors == []
    status, said = await spinctl(running, key, "notebook", "list")
    assert status != 0 and "Traceback" not in said, said


async def create_with_faults(page: Page, name: str, host: str) -> None:
    """A connection made in the page, after its faults were told one by one."""
    await page.get_by_role("button", name="New connection").click()
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_label("base url").fill("no address")
    await page.get_by_label("auth", exact=True).select_option("bearer")
    await page.get_by_label("token").fill("wrong at first")
    await page.get_by_label("Hosts it may be sent to").fill("UPPER")
    await page.get_by_role("button", name="Create", exact=True).click()
    await page.get_by_role("alert").wait_for()
    await page.get_by_label("Hosts it may be sent to").fill("")
    await page.get_by_label("Hosts it may be sent to").fill(host)
    await page.get_by_role("button", name="Create", exact=True).click()
    await page.locator(".field__error", has_text="The API's address").wait_for()
    await page.get_by_label("base url").fill(f"http://{host}")
    await page.get_by_role("button", name="Create", exact=True).dblclick()
    await page.get_by_role("heading", name=f"“{name}” is saved").wait_for()
    await page.get_by_role("button", name="Later").click()


async def led_elsewhere(page: Page, name: str, address: str, token: str) -> None:
    """What demands the credential again is told, and one save then changes all of it."""
    row = page.get_by_role("listitem").filter(has_text=name)
    await row.get_by_text("used today").wait_for()
    await page.get_by_role("button", name=f"Actions for {name}").click()
    await page.get_by_role("menuitem", name="Edit").click()
    await page.get_by_label("base url").fill(address)
    await page.get_by_label("Exposable").check()
    await page.get_by_text("The credential leaves the broker.").wait_for()
    await page.get_by_role("button", name="Save").click()
    await page.locator(".field__error", has_text="send it with the change").wait_for()
    await page.get_by_label("References to secret managers").fill('{"username": {"path": "kv/app"}}')
    await page.get_by_label("token").fill(token)
    await page.get_by_role("button", name="Save").click()
    await page.locator(".field__error", has_text="username.manager").wait_for()
    await page.get_by_label("References to secret managers").fill('{"username": {"manager": "vault", "path": "kv/app"}}')
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("dialog").wait_for(state="detached")
    await row.get_by_text("held by a manager: username").wait_for()
    assert await row.get_by_text("exposable", exact=True).count() == 1


async def test_a_connection_made_in_the_page_is_used_changed_and_removed(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, confidential: set[str]
) -> None:
    name, api = f"tickets {secrets.token_hex(3)}", LocalApi(f"local-{secrets.token_hex(12)}")
    confidential.add(api.token)
    fields = json.dumps({"url": "/tickets", "connection": name})
    await make_notebook(owner, workspace.id, f"Uses {name}", notebooks_pb2.Cell(id="ask", cell_type="rest", fields_json=fields))
    async with browser() as context:
        page, errors = await watched_page(context)
        await open_part(page, link(running), "Sample", "Connections")
        await create_with_faults(page, name, api.host)
        row = page.get_by_role("listitem").filter(has_text=name)
        await row.get_by_text("credential: token").wait_for()
        assert await row.count() == 1
        await page.get_by_role("button", name=f"Actions for {name}").click()
        await page.get_by_role("menuitem", name="Replace the credential").click()
        assert await page.get_by_label("token").input_value() == ""
        await page.get_by_label("token").fill(api.token)
        await page.get_by_role("button", name="Replace", exact=True).dblclick()
        await page.get_by_role("dialog").wait_for(state="detached")
        await page.get_by_role("link", name="Notebooks", exact=True).click()
        await page.get_by_role("link", name=f"Uses {name}", exact=True).click()
        await cell(page, "ask").get_by_role("button", name="Run the cell").click()
        assert await wait_state(page, "ask", "ok", "failed", "refused") == "ok"
        assert api.shown[-1] == f"Bearer {api.token}" and api.token not in await page.content()
        await page.get_by_role("link", name="Connections", exact=True).click()
        await page.get_by_role("button", name=f"Actions for {name}").click()
        await page.get_by_role("menuitem", name="Edit").click()
        assert await page.get_by_label("base url").input_value() == f"http://{api.host}"
        await page.get_by_label("Name", exact=True).fill(f"{name} renamed")
        await page.get_by_label("rest.request needs approval").check()
        await page.get_by_role("group", name="Who may use it").get_by_label("Every editor").check()
        await page.get_by_label("The credential expires on").fill("2031-01-31")
        await page.get_by_role("button", name="Save").dblclick()
        await page.get_by_role("button", name=f"Actions for {name} renamed").click()
        await page.get_by_role("menuitem", name="Edit").click()
        assert await page.get_by_label("rest.request needs approval").is_checked()
        assert await page.get_by_role("group", name="Who may use it").get_by_label("Every editor").is_checked()
        assert await page.get_by_label("The credential expires on").input_value() == "2031-01-31"
        await page.get_by_label("rest.request needs approval").uncheck()
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("dialog").wait_for(state="detached")
        await led_elsewhere(page, f"{name} renamed", f"http://{api.host}/v2", api.token)
        assert api.token not in await page.content()
        await page.get_by_role("button", name=f"Actions for {name} renamed").click()
        await page.get_by_role("menuitem", name="Remove").click()
        await page.get_by_role("button", name="Remove", exact=True).dblclick()
        await row.wait_for(state="detached")
        assert [error for error in errors if "status of 400" not in error] == []
    api.close()


async def test_a_viewer_is_told_what_a_role_lacks(running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace) -> None:
    """Nothing hangs, nothing is hidden behind a blank page."""
    email = f"viewer-{secrets.token_hex(3)}@example.org"
    request = members_pb2.AddMemberRequest(workspace_id=workspace.id, email=email, role=members_pb2.MEMBER_ROLE_VIEWER)
    token = (await owner.members.AddMember(request)).sign_in_token
    await make_notebook(owner, workspace.id, f"For {email}", notebooks_pb2.Cell(id="quiet", cell_type="python", source="1"))
    refusal = re.compile("Your role here is viewer: this is for owners and editors")
    async with browser() as context:
        page, _ = await watched_page(context)
        await open_part(page, link(running, token), "Sample", "API keys")
        await page.get_by_text(refusal).wait_for()
        assert await page.get_by_role("button", name="New API key").and_(page.get_by_title(refusal)).is_disabled()
        await page.get_by_role("link", name="Members", exact=True).click()
        await page.get_by_text(refusal).wait_for()
        for control in (
            page.get_by_label(f"Role of {email}"),
            page.get_by_role("button", name=f"Remove {email}"),
            page.get_by_role("button", name="Add"),
        ):
            assert await control.and_(page.get_by_title(refusal)).is_disabled()
        for part, button in {"Connections": "New connection", "Notebooks": "New notebook", "Runtimes": "Add a runtime"}.items():
            await page.get_by_role("link", name=part, exact=True).click()
            offered = page.get_by_role("button", name=button).and_(page.get_by_title(re.compile("Your role here is viewer")))
            await offered.first.wait_for()
            assert await offered.first.is_disabled()
        await page.get_by_role("link", name="Notebooks", exact=True).click()
        await page.get_by_role("link", name=f"For {email}", exact=True).click()
        run = cell(page, "quiet").get_by_title(re.compile("this is for owners, editors and agents"))
        await run.wait_for()
        assert await run.is_disabled()
        assert await page.get_by_role("button", name="Run all").is_disabled()


async def test_a_child_workspace_runs_on_the_runtime_that_it_inherits(running: RunningPlatform) -> None:
    name = f"Child {secrets.token_hex(3)}"
    async with browser() as context:
        page, errors = await watched_page(context)
        await page.goto(link(running))
        await page.get_by_role("button", name="New workspace").click()
        await page.get_by_label("Name").fill(name)
        await page.get_by_label("Inside").select_option(label="Sample")
        await page.get_by_role("button", name="Create", exact=True).dblclick()
        await page.get_by_role("navigation").get_by_role("link", name="Runtimes").click()
        row = page.get_by_role("listitem").filter(has_text=running.settings.runtime_name)
        await row.get_by_text("inherited").wait_for()
        await row.get_by_text("Confirmed").wait_for()
        await page.get_by_role("link", name="Notebooks", exact=True).click()
        await page.get_by_role("button", name="New notebook").dblclick()
        await page.locator("[data-cell-id] .cm-content").first.click()
        await page.keyboard.type("print('from', 'below')")
        await page.keyboard.press("Control+Enter")
        await page.get_by_text("from below").wait_for(timeout=60_000)
        await page.get_by_role("link", name="History", exact=True).click()
        await page.get_by_role("link", name="Untitled").first.click()
        await page.get_by_role("button", name=re.compile("verify|proof", re.I)).first.click()
        await page.get_by_text("Verified in this browser").first.wait_for()
        assert errors == []
