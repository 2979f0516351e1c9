"""Four eyes on the real platform: with `spinctl`, over REST, and against an approver who is no second person."""

import asyncio
import json
import os
import secrets
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from scripts.platform import programs
from scripts.platform.apart import RunningPlatform
from spin_client.sdk import MemoryStore, Platform, RunState, RuntimeSession, SpinError
from spinapis.auth.v1 import approvals_pb2, members_pb2
from spinapis.compiler.v1 import compiler_pb2
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.connected_system import ConnectedSystem
from tests.fakes.hand_client import new_session
from tests.fakes.history import proved


@pytest.fixture
async def api() -> AsyncIterator[ConnectedSystem]:
    def says(request: web.Request) -> web.Response:
        return web.json_response({"authorization": request.headers.get("Authorization", "")})

    async with ConnectedSystem(says) as running:
        yield running


@pytest.fixture
async def editor(running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, tmp_path: Path) -> AsyncIterator[Platform]:
    """A second person of the workspace."""
    email = f"{secrets.token_hex(4)}@example.org"
    request = members_pb2.AddMemberRequest(workspace_id=workspace.id, email=email, role=members_pb2.MEMBER_ROLE_EDITOR)
    token = (await owner.members.AddMember(request)).sign_in_token
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=tmp_path / "pins") as person:
        await person.sign_in_with_link(token)
        yield person


async def guarded(owner: Platform, workspace_id: str, host: str, confidential: set[str]) -> str:
    """The name of a connection whose requests need an approval."""
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
    return name


def purge(connection: str, path: str = "/purge") -> notebooks_pb2.Cell:
    fields = json.dumps({"connection": connection, "url": path, "method": "DELETE"})
    return notebooks_pb2.Cell(id="purge", cell_type="rest", fields_json=fields)


async def ran(session: RuntimeSession, cell: notebooks_pb2.Cell) -> RunState:
    return [event async for event in session.run(cell) if isinstance(event, RunState)][-1]


async def asked(platform: Platform, session: notebooks_pb2.Session, cell: notebooks_pb2.Cell) -> approvals_pb2.Approval:
    request = compiler_pb2.RequestApprovalRequest(
        workspace_id=session.workspace_id,
        notebook_id=session.notebook_id,
        session_id=session.id,
        cell_id=cell.id,
        cell=compiler_pb2.CellDefinition(cell_type=cell.cell_type, source=cell.source, fields_json=cell.fields_json),
        note="the queue is stuck",
    )
    return (await platform.compiler.RequestApproval(request)).approval


async def test_one_run_of_just_this_cell_once_somebody_else_said_yes(
    running: RunningPlatform,
    owner: Platform,
    editor: Platform,
    workspace: workspaces_pb2.Workspace,
    api: ConnectedSystem,
    confidential: set[str],
) -> None:
    remote, host = api, api.host
    connection = await guarded(owner, workspace.id, host, confidential)
    session = await new_session(owner, workspace.id)
    async with await RuntimeSession.of(owner, session) as opened:
        with pytest.raises(SpinError) as refused:
            await ran(opened, purge(connection))
        assert refused.value.reason == "APPROVAL_REQUIRED" and "spinctl approval request" in refused.value.hint
        request = await asked(owner, session, purge(connection))
        assert json.loads(request.fields_json)["method"] == "DELETE"
        assert await decided(running, await editor.tokens.access_token(), request) == "APPROVAL_STATE_APPROVED"
        with pytest.raises(SpinError) as refused:
            await ran(opened, purge(connection, "/purge?all=1"))
        assert refused.value.reason == "APPROVAL_REQUIRED"
        assert (await ran(opened, purge(connection))).ok
        with pytest.raises(SpinError) as refused:
            await ran(opened, purge(connection))
        assert refused.value.reason == "APPROVAL_REQUIRED"
        assert remote.hits == ["DELETE /purge"]
        assert await opened.settle()
    await proved(owner, workspace.id)


async def decided(running: RunningPlatform, token: str, request: approvals_pb2.Approval) -> str:
    """Over REST, through the gateway."""
    url = f"{running.settings.public_url}/v1/workspaces/{request.workspace_id}/approvals/{request.id}:decide"
    async with httpx.AsyncClient() as client:
        shown = await client.get(url.removesuffix(":decide"), headers={"Authorization": f"Bearer {token}"})
        digest = shown.json()["approval"]["sourceDigest"]
        answer = await client.post(url, json={"approve": True, "sourceDigest": digest}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["approval"]["state"])


async def test_an_agent_that_approves_itself(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, api: ConnectedSystem, confidential: set[str], tmp_path: Path
) -> None:
    remote, host = api, api.host
    connection = await guarded(owner, workspace.id, host, confidential)
    session = await new_session(owner, workspace.id)
    create = members_pb2.CreateApiKeyRequest(workspace_id=workspace.id, name="agent", role=members_pb2.MEMBER_ROLE_EDITOR)
    key = (await owner.members.CreateApiKey(create)).secret
    confidential.add(key)
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=tmp_path) as agent:
        await agent.sign_in_with_api_key(key)
        request = await asked(agent, session, purge(connection))
        # Neither the machine nor the person whom it acts for is a second person.
        for decider in (agent, owner):
            decision = approvals_pb2.DecideApprovalRequest(workspace_id=workspace.id, approval_id=request.id, approve=True)
            decision.source_digest = request.source_digest
            with pytest.raises(SpinError) as refused:
                await decider.approvals.DecideApproval(decision)
            assert refused.value.reason == "PERMISSION_DENIED"
    assert remote.hits == []


async def test_with_spinctl_from_asking_to_the_run(
    running: RunningPlatform,
    owner: Platform,
    editor: Platform,
    workspace: workspaces_pb2.Workspace,
    api: ConnectedSystem,
    confidential: set[str],
    tmp_path: Path,
) -> None:
    remote, host = api, api.host
    connection = await guarded(owner, workspace.id, host, confidential)
    title = f"Guarded {secrets.token_hex(3)}"
    book = (await owner.notebooks.CreateNotebook(notebooks_pb2.CreateNotebookRequest(workspace_id=workspace.id, title=title))).notebook
    update = notebooks_pb2.UpdateNotebookRequest(workspace_id=workspace.id, notebook_id=book.id, etag=book.etag, title=title, metadata_json="{}")
    update.cells.append(purge(connection))
    await owner.notebooks.UpdateNotebook(update)
    first, second = Terminal(running, tmp_path / "first"), Terminal(running, tmp_path / "second")
    await asyncio.to_thread(first.sign_in, running.new_token())
    invited = members_pb2.AddMemberRequest(
        workspace_id=workspace.id, email=f"{secrets.token_hex(4)}@example.org", role=members_pb2.MEMBER_ROLE_EDITOR
    )
    await asyncio.to_thread(second.sign_in, (await owner.members.AddMember(invited)).sign_in_token)
    failed = await asyncio.to_thread(first.run, "run", title, expected=4)
    assert "spinctl approval request" in failed
    made = json.loads(await asyncio.to_thread(first.run, "approval", "request", title, "purge", "--note", "stuck", "--json"))
    alone = await asyncio.to_thread(first.run, "approval", "approve", made["id"], "--yes", expected=4)
    assert "somebody else" in alone
    assert made["id"] in await asyncio.to_thread(second.run, "approval", "list")
    assert "/purge" in await asyncio.to_thread(second.run, "approval", "show", made["id"])
    assert "Approved" in await asyncio.to_thread(second.run, "approval", "approve", made["id"], "--yes")
    await asyncio.to_thread(first.run, "run", title)
    assert remote.hits == ["DELETE /purge"]


class Terminal:
    """Somebody's `spinctl`, with a configuration of their own."""

    def __init__(self, running: RunningPlatform, home: Path) -> None:
        home.mkdir()
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "SPIN_TOKEN_STORE": "file",
            "SPIN_URL": running.settings.public_url,
            "SPIN_WORKSPACE": "Sample",
        }

    def sign_in(self, token: str) -> None:
        self.run("login", "--link", text=token)

    def run(self, *arguments: str, expected: int = 0, text: str = "") -> str:
        command: list[Any] = [programs.BIN / "spinctl", *arguments]
        done = subprocess.run(command, env=self._environment, input=text, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == expected, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr
