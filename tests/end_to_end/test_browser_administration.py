"""What an administrator does in the page alone: tries a connection where it is used, sets the policy, removes a runtime, writes templates."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform
from spinapis.auth.v1 import members_pb2, policy_pb2, trust_pb2
from spinapis.envelope.v1.attach_pb2 import EgressMode, EgressPolicy
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.end_to_end.browser_page import browser, cell, open_notebook, wait_state, watched_page
from tests.end_to_end.test_browser_pages import link, make_notebook, open_part
from tests.fakes.extra_runtime import ExtraRuntime, workspace_named
from tests.fakes.local_api import LocalApi

LONG_MS = 90_000


@pytest.fixture
def api(confidential: set[str]) -> Iterator[LocalApi]:
    made = LocalApi(f"local-{secrets.token_hex(12)}")
    confidential.add(made.token)
    yield made
    made.close()


@pytest.fixture
async def extra(running: RunningPlatform, owner: Platform, tmp_path: Path) -> AsyncIterator[ExtraRuntime]:
    """A runtime that the test may do away with."""
    made = ExtraRuntime(tmp_path, running.settings.service_port_base + 18)
    await made.pair(owner, "Sample")
    yield made
    await asyncio.to_thread(made.stop)


async def connection(owner: Platform, workspace_id: str, **fields: object) -> secrets_pb2.Connection:
    order = {"workspace_id": workspace_id, "name": f"tried {secrets.token_hex(3)}"} | fields
    return (await owner.connections.CreateConnection(secrets_pb2.CreateConnectionRequest(**order))).connection


async def joined(owner: Platform, workspace_id: str, role: str) -> str:
    """A new member's one-time sign-in token."""
    request = members_pb2.AddMemberRequest(workspace_id=workspace_id, email=f"{secrets.token_hex(4)}@example.org", role=f"MEMBER_ROLE_{role}")
    return (await owner.members.AddMember(request)).sign_in_token


async def tried(page: Page) -> str:
    """Starts the test that the dialog offers; what it says in the end."""
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name=re.compile("^Test( again)?$")).click()
    await dialog.get_by_role("button", name="Test again").wait_for(timeout=LONG_MS)
    return await dialog.locator(".notice").last.inner_text()


async def test_a_connection_is_tried_on_the_runtime_that_was_chosen(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, api: LocalApi, extra: ExtraRuntime
) -> None:
    name = f"tried {secrets.token_hex(3)}"
    async with browser() as context:
        page, errors = await watched_page(context)
        await open_part(page, link(running), "Sample", "Connections")
        await page.get_by_role("button", name="New connection").click()
        await page.get_by_label("Name", exact=True).fill(name)
        await page.get_by_label("base url").fill(f"http://{api.host}/tickets")
        await page.get_by_label("auth", exact=True).select_option("bearer")
        await page.get_by_label("token").fill(api.token)
        await page.get_by_role("button", name="Create", exact=True).dblclick()
        # What was made is offered to be tried; a runtime is chosen where there are several.
        await page.get_by_role("heading", name=f"“{name}” is saved").wait_for()
        await page.get_by_label("Runtime").select_option(label=extra.record.name)
        said = await tried(page)
        assert f"“{name}” works" in said and f"{api.host} answered 200 OK" in said and f"From {extra.record.name}" in said
        assert api.shown[-1] == f"Bearer {api.token}" and api.token not in await page.content()
        await page.get_by_role("button", name="Later").click()
        api.token = "another one"
        await page.get_by_role("button", name=f"Test {name}", exact=True).click()
        said = await tried(page)
        assert f"“{name}” does not work" in said and "answered 401 Unauthorized: the credential is refused" in said
        assert errors == []
    listed = notebooks_pb2.ListSessionsRequest(workspace_id=workspace.id, open_only=True)
    async with asyncio.timeout(60):
        # Nothing stays: the sessions end behind their tests.
        while [one for one in (await owner.sessions.ListSessions(listed)).sessions if one.runtime_id == extra.record.id]:
            await asyncio.sleep(0.5)


async def test_why_a_connection_is_not_tried_is_said_before(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, extra: ExtraRuntime
) -> None:
    made = await connection(owner, workspace.id, kind="rest", config_json='{"base_url": "http://127.0.0.1:9"}')
    register = workspaces_pb2.CreateRuntimeRequest(workspace_id=workspace.id, name=f"Unpaired {secrets.token_hex(3)}", url="http://localhost:1")
    unpaired = (await owner.runtimes.CreateRuntime(register)).runtime
    alone = await workspace_named(owner, f"Alone {secrets.token_hex(3)}")
    elsewhere = await connection(owner, alone, kind="rest", config_json='{"base_url": "http://127.0.0.1:9"}')
    await asyncio.to_thread(extra.stop)
    async with browser() as context:
        page, _ = await watched_page(context)
        await open_part(page, link(running), "Sample", "Connections")
        await page.get_by_role("button", name=f"Test {made.name}", exact=True).click()
        await page.get_by_label("Runtime").select_option(label=unpaired.name)
        await page.get_by_text(f"{unpaired.name} is not started yet").wait_for()
        assert await page.get_by_role("dialog").get_by_role("button", name="Test", exact=True).is_disabled()
        await page.get_by_label("Runtime").select_option(label=extra.record.name)
        assert f"The runtime at localhost:{extra.port} does not answer" in await tried(page)
        await page.goto(f"{running.settings.public_url}/w/{alone}/connections")
        await page.get_by_role("button", name=f"Test {elsewhere.name}", exact=True).click()
        await page.get_by_text("No runtime to test from").wait_for()
    async with browser() as context:
        page, _ = await watched_page(context)
        await open_part(page, link(running, await joined(owner, workspace.id, "VIEWER")), "Sample", "Connections")
        button = page.get_by_role("button", name=f"Test {made.name}", exact=True).and_(page.get_by_title(re.compile("Your role here is viewer")))
        await button.wait_for()
        assert await button.is_disabled()
    await owner.runtimes.DeleteRuntime(workspaces_pb2.DeleteRuntimeRequest(workspace_id=workspace.id, runtime_id=unpaired.id, etag=unpaired.etag))


class Silent:
    """A system that takes connections and says nothing before `answers`: tells when it was reached, and when the other side gave up."""

    def __init__(self) -> None:
        self.reached, self.left, self.answers = asyncio.Event(), asyncio.Event(), False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached.set()
        while await reader.read(4096):
            if self.answers:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.left.set()
        writer.close()


async def test_a_test_that_hangs_is_cancelled_and_leaves_nothing(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace
) -> None:
    silent = Silent()
    async with await asyncio.start_server(silent.serve, "127.0.0.1", 0) as server, browser() as context, asyncio.timeout(100):
        port = server.sockets[0].getsockname()[1]
        made = await connection(owner, workspace.id, kind="rest", config_json=json.dumps({"base_url": f"http://127.0.0.1:{port}"}))
        page, errors = await watched_page(context)
        await open_part(page, link(running), "Sample", "Connections")
        await page.get_by_role("button", name=f"Test {made.name}", exact=True).click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Test", exact=True).click()
        await silent.reached.wait()
        await dialog.get_by_role("button", name="Cancel the test").click()
        await dialog.get_by_text("The test was cancelled").wait_for()
        silent.answers = True
        # It is tried again at once: what the first one leaves behind does not end the second one.
        assert f"“{made.name}” works" in await tried(page)
        await silent.left.wait()
        await dialog.get_by_role("button", name="Close").last.click()
        assert errors == []
        while await _tests_open(owner, workspace.id):
            await asyncio.sleep(0.5)


async def _tests_open(owner: Platform, workspace_id: str) -> list[notebooks_pb2.Session]:
    listed = notebooks_pb2.ListSessionsRequest(workspace_id=workspace_id, open_only=True)
    books = notebooks_pb2.ListNotebooksRequest(workspace_id=workspace_id)
    tests = {book.id for book in (await owner.notebooks.ListNotebooks(books)).notebooks if "test" in book.title.lower()}
    return [one for one in (await owner.sessions.ListSessions(listed)).sessions if one.notebook_id in tests]


async def policy_of(owner: Platform, workspace_id: str) -> policy_pb2.WorkspacePolicy:
    return (await owner.policies.GetWorkspacePolicy(policy_pb2.GetWorkspacePolicyRequest(workspace_id=workspace_id))).policy


async def set_egress(owner: Platform, workspace_id: str, mode: EgressMode.ValueType, *hosts: str) -> None:
    known = await policy_of(owner, workspace_id)
    egress = EgressPolicy(mode=mode, hosts=hosts)
    await owner.policies.UpdateWorkspacePolicy(policy_pb2.UpdateWorkspacePolicyRequest(workspace_id=workspace_id, etag=known.etag, egress=egress))


async def test_the_policy_is_set_beside_what_is_inherited(running: RunningPlatform, owner: Platform) -> None:
    parent_name = f"Above {secrets.token_hex(3)}"
    parent = await workspace_named(owner, parent_name)
    child = (await owner.workspaces.CreateWorkspace(workspaces_pb2.CreateWorkspaceRequest(name=f"Below {parent_name}", parent_id=parent))).workspace
    await set_egress(owner, parent, EgressMode.EGRESS_MODE_ALLOW_LIST, "pypi.org:443", "*.pypi.org:443")
    async with browser() as context:
        page, errors = await watched_page(context)
        await open_part(page, link(running), child.name, "Settings")
        await page.get_by_text(f"Inherited from {parent_name}").wait_for()
        await page.get_by_text("These hosts alone: pypi.org:443, *.pypi.org:443.").wait_for()
        await page.get_by_label("The hosts on a list").check()
        await page.get_by_label("Hosts", exact=True).fill("pypi.org:443\nno host")
        await page.get_by_role("button", name="Save").click()
        await page.locator(".field__error", has_text="'no'").wait_for()
        await page.get_by_label("Hosts", exact=True).fill("pypi.org:443\nelsewhere.example:443")
        await page.get_by_label("Grace in hours").fill("12")
        await page.get_by_role("button", name="Save").dblclick()
        await page.get_by_text("Saved").wait_for()
        await page.get_by_text("These hosts alone: pypi.org:443.").wait_for()
        await page.get_by_text("The workspaces above do not let pass: elsewhere.example:443.").wait_for()
        saved = await policy_of(owner, child.id)
        assert (list(saved.egress.hosts), saved.trust_grace_ms) == (["pypi.org:443", "elsewhere.example:443"], 12 * 3_600_000)
        # Somebody else is quicker.
        await page.get_by_label("Grace in hours").fill("24")
        await set_egress(owner, child.id, EgressMode.EGRESS_MODE_NONE)
        await page.get_by_role("button", name="Save").click()
        await page.get_by_text("Somebody changed the policy meanwhile").wait_for()
        await page.get_by_text("None: kernels have no network.").wait_for()
        assert await page.get_by_label("None", exact=True).is_checked()
        assert await page.get_by_label("Grace in hours").input_value() == "12"
        assert (await policy_of(owner, child.id)).trust_grace_ms == 12 * 3_600_000
        assert [error for error in errors if "status of 4" not in error] == []
    async with browser() as context:
        page, _ = await watched_page(context)
        await open_part(page, link(running, await joined(owner, child.id, "EDITOR")), child.name, "Settings")
        await page.get_by_text("Your role here is editor: this is for owners.").first.wait_for()
        assert await page.get_by_label("Grace in hours").is_disabled() and await page.get_by_role("button", name="Save").is_disabled()


async def test_a_removed_runtime_stops_or_its_end_is_said(running: RunningPlatform, owner: Platform, extra: ExtraRuntime, tmp_path: Path) -> None:
    unreached = ExtraRuntime(tmp_path / "unreached", running.settings.service_port_base + 19)
    unreached.home.mkdir()
    await unreached.pair(owner, "Sample")
    await owner.enrolment.GetTrustState(trust_pb2.GetTrustStateRequest(workspace_id=unreached.record.workspace_id, runtime_id=unreached.record.id))
    assert await asyncio.to_thread(unreached.stop) == 0
    async with browser() as context:
        page, errors = await watched_page(context)
        await open_part(page, link(running), "Sample", "Runtimes")
        for runtime, outcome in {extra: "It was told, and stopped.", unreached: f"It could not be told at {unreached.url}."}.items():
            await page.get_by_role("button", name=f"Actions for {runtime.record.name}").click()
            await page.get_by_role("menuitem", name="Remove").click()
            await page.get_by_role("button", name="Remove", exact=True).dblclick()
            notice = page.get_by_role("status").filter(has_text=f"“{runtime.record.name}” was removed")
            await notice.get_by_text(outcome).wait_for()
            await page.get_by_role("listitem").filter(has_text=runtime.record.name).wait_for(state="detached")
        assert re.search(r"may go on until its trust ends, .*\d{4}", await notice.inner_text())
        async with asyncio.timeout(60):
            while "add it to the workspace anew" not in extra.log.read_text():
                await asyncio.sleep(0.2)
        assert [error for error in errors if "ERR_CONNECTION_REFUSED" not in error] == []


async def test_templates_are_completed_with_what_they_may_name(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, confidential: set[str]
) -> None:
    value, name = f"salt-{secrets.token_hex(12)}", f"salt_{secrets.token_hex(3)}"
    confidential.add(value)
    await connection(owner, workspace.id, name=name, kind="secret", credential_json=json.dumps({"value": value}), exposable=True)
    await connection(owner, workspace.id, name=f"hidden_{name}", kind="secret", credential_json=json.dumps({"value": value}))
    cells = [
        notebooks_pb2.Cell(id="given", cell_type="python", source="region = 'north'"),
        notebooks_pb2.Cell(id="shell", cell_type="shell", source=""),
        notebooks_pb2.Cell(id="ask", cell_type="rest", fields_json='{"url": "http://h/"}'),
    ]
    await make_notebook(owner, workspace.id, f"Completes {name}", *cells)
    async with browser() as context:
        page, errors = await watched_page(context)
        await open_notebook(page, link(running), "Sample", f"Completes {name}")
        await cell(page, "shell").locator(".cm-content").click()
        await page.keyboard.type("echo {{")
        offered = page.locator(".cm-tooltip-autocomplete")
        await offered.get_by_text(f"{{{{secret:{name}}}}}").wait_for()
        said = await offered.inner_text()
        assert "{{region}}" in said and "{{runtime_env:" in said and "{{secret_var:" in said and "hidden_" not in said
        await page.keyboard.type("reg")
        await page.locator(".cm-tooltip-autocomplete:not(.cm-tooltip-autocomplete-disabled) [aria-selected]", has_text="{{region}}").wait_for()
        # The editor takes no key for a list that it has only just shown.
        await page.wait_for_timeout(100)
        await page.keyboard.press("Enter")
        await page.keyboard.type("; echo {{secret:")
        await offered.get_by_text(f"{{{{secret:{name}}}}}").click()
        assert await cell(page, "shell").locator(".cm-content").inner_text() == f"echo {{{{region}}}}; echo {{{{secret:{name}}}}}"
        address = cell(page, "ask").get_by_role("combobox", name=re.compile("^url", re.IGNORECASE))
        await address.press("End")
        await address.press_sequentially("{{reg")
        await cell(page, "ask").get_by_role("option", name="{{region}}").wait_for()
        await page.keyboard.press("Enter")
        assert await address.input_value() == "http://h/{{region}}"
        await cell(page, "given").get_by_role("button", name="Run the cell").click()
        assert await wait_state(page, "given", "ok", "failed", "refused") == "ok"
        await cell(page, "shell").get_by_role("button", name="Run the cell").click()
        assert await wait_state(page, "shell", "ok", "failed", "refused") == "ok"
        await cell(page, "shell").get_by_text("north").wait_for()
        assert errors == []
