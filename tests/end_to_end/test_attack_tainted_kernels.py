"""Somebody who may not use a connection leaves code in a kernel, for whoever may use it to run beside. Real processes, one kernel, two people."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import MemoryStore, Platform, RunState, RuntimeSession, SpinError
from spin_client.sdk.errors import from_rpc
from spin_client.sdk.events import InputRequest, Output
from spin_client.sdk.run import Run
from spin_envelope.signing import sign, unverified
from spinapis.auth.v1 import approvals_pb2, members_pb2
from spinapis.compiler.v1 import compiler_pb2
from spinapis.envelope.v1 import run_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.cell_runs import ran, ran_well
from tests.fakes.connected_system import ConnectedSystem
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.stolen_keys import Sealer, granted, program_for, stolen

USE = secrets_pb2.CONNECTION_LEVEL_USE


@pytest.fixture
async def api() -> AsyncIterator[ConnectedSystem]:
    async with ConnectedSystem() as running:
        yield running


@pytest.fixture
async def mallory(running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, tmp_path: Path) -> AsyncIterator[Platform]:
    """An editor of the workspace, who may use none of these connections."""
    email = f"mallory-{secrets.token_hex(4)}@example.org"
    request = members_pb2.AddMemberRequest(workspace_id=workspace.id, email=email, role=members_pb2.MEMBER_ROLE_EDITOR)
    token = (await owner.members.AddMember(request)).sign_in_token
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=tmp_path / "pins") as person:
        await person.sign_in_with_link(token)
        yield person


async def connected(
    owner: Platform, workspace_id: str, api: ConnectedSystem, confidential: set[str], *, approval: tuple[str, ...] = (), roles: tuple[int, ...] = ()
) -> secrets_pb2.Connection:
    """For owners, and those of the roles."""
    token = f"token-{secrets.token_hex(12)}"
    confidential.add(token)
    create = secrets_pb2.CreateConnectionRequest(
        workspace_id=workspace_id,
        name=f"vault {secrets.token_hex(3)}",
        kind="rest",
        config_json=json.dumps({"base_url": f"http://{api.host}", "auth": "bearer"}),
        credential_json=json.dumps({"token": token}),
        allowed_hosts=[api.host],
        approval_operations=approval,
    )
    made = (await owner.connections.CreateConnection(create)).connection
    grants = [secrets_pb2.ConnectionGrant(level=USE, role=role) for role in (members_pb2.MEMBER_ROLE_OWNER, *roles)]
    return await changed(owner, made, grants=grants, replace_grants=True)


async def changed(owner: Platform, connection: secrets_pb2.Connection, **fields: object) -> secrets_pb2.Connection:
    place = {"workspace_id": connection.workspace_id, "connection_id": connection.id, "etag": connection.etag}
    return (await owner.connections.UpdateConnection(secrets_pb2.UpdateConnectionRequest(**place, **fields))).connection


def python(source: str) -> notebooks_pb2.Cell:
    return notebooks_pb2.Cell(id="code", cell_type="python", source=source)


def used(connection: secrets_pb2.Connection, path: str = "/data") -> notebooks_pb2.Cell:
    return notebooks_pb2.Cell(id="used", cell_type="rest", fields_json=json.dumps({"connection": connection.name, "url": path}))


# What an insider leaves: a hook that repeats each use of a connection for themselves, and a thread that goes on.
LEFT_BEHIND = """
import threading, time
from spin_kernel import broker
honest = broker.use
def twice(*asked):
    honest(*asked)
    return honest(*asked)
broker.use = twice
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
print("planted")
"""


async def test_a_hook_that_was_left_in_the_kernel_gets_no_use_and_a_restart_mends_it(
    owner: Platform, mallory: Platform, workspace: workspaces_pb2.Workspace, api: ConnectedSystem, confidential: set[str]
) -> None:
    connection = await connected(owner, workspace.id, api, confidential)
    session = await new_session(owner, workspace.id)
    async with await RuntimeSession.of(mallory, session) as hers, await RuntimeSession.of(owner, session) as mine:
        await ran_well(hers, python(LEFT_BEHIND))
        with pytest.raises(SpinError) as refused:
            await ran(mine, used(connection))
        assert refused.value.reason == "KERNEL_TAINTED"
        assert connection.name in refused.value.text and "mallory-" in refused.value.text and "Restart the kernel" in refused.value.text
        assert api.hits == []
        await mine.restart()
        await ran_well(mine, used(connection))
        assert api.hits == ["GET /data"]


async def test_who_comes_after_the_use_shuts_the_kernel_to_it(
    owner: Platform, mallory: Platform, workspace: workspaces_pb2.Workspace, api: ConnectedSystem, confidential: set[str]
) -> None:
    connection = await connected(owner, workspace.id, api, confidential)
    session = await new_session(owner, workspace.id)
    async with await RuntimeSession.of(owner, session) as mine, await RuntimeSession.of(mallory, session) as hers:
        await ran_well(mine, used(connection))
        await ran_well(hers, python("1"))
        with pytest.raises(SpinError) as refused:
            await ran(mine, used(connection))
        assert refused.value.reason == "KERNEL_TAINTED" and api.hits == ["GET /data"]
        # A grant for her role mends it as well, without a restart.
        editors = [secrets_pb2.ConnectionGrant(level=USE, role=members_pb2.MEMBER_ROLE_EDITOR)]
        await changed(owner, connection, grants=editors, replace_grants=True)
        await ran_well(mine, used(connection))


async def test_a_run_that_overlaps_with_a_newcomers_is_judged_at_its_next_use(
    owner: Platform, mallory: Platform, workspace: workspaces_pb2.Workspace, api: ConnectedSystem, confidential: set[str]
) -> None:
    """Her program is only queued: that the runtime's server waits with it is not what the broker relies on."""
    connection = await connected(owner, workspace.id, api, confidential)
    session = await new_session(owner, workspace.id)
    slow = f"""
import urllib.request
from spin_kernel import broker
once = broker.use
def twice(*asked):
    once(*asked)
    urllib.request.urlopen("http://{api.host}/go").read()
    return once(*asked)
broker.use = twice
"""
    async with await RuntimeSession.of(owner, session) as mine, await RuntimeSession.of(mallory, session) as hers:
        await ran_well(mine, python(slow))
        running = asyncio.create_task(ran(mine, used(connection)))
        await asyncio.wait_for(api.waiting.wait(), 20)
        queued = await hers.start(python("1"))
        async with queued:
            await anext(aiter(queued))
            api.go.set()
            well, said = await asyncio.wait_for(running, 20)
        assert not well and "restart the kernel" in said and connection.name in said
        assert api.hits == ["GET /data"]


@pytest.mark.parametrize("lie", [[], ["owner"], ["owner", "mallory"]], ids=["nobody", "the owner alone", "everyone"])
async def test_a_compiler_that_leaves_principals_out(
    running: RunningPlatform,
    owner: Platform,
    mallory: Platform,
    workspace: workspaces_pb2.Workspace,
    api: ConnectedSystem,
    confidential: set[str],
    lie: list[str],
) -> None:
    """With the compiler's key alone: auth refuses the honest question, and what is changed or signed by itself opens nothing."""
    connection = await connected(owner, workspace.id, api, confidential)
    key = stolen(running.settings, "compiler")
    session = await new_session(owner, workspace.id)
    uses = [run_pb2.ConnectionUse(connection_id=bytes.fromhex(connection.id), operations=["rest.request"])]
    async with await HandClient.attach(owner, session) as mine, await RuntimeSession.of(mallory, session) as hers:
        await mine.start_kernel()
        before = await granted(running.settings, key, mine, connections=uses)
        await ran_well(hers, python("1"))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await granted(running.settings, key, mine, connections=uses)
        assert from_rpc(refused.value, "auth").reason == "KERNEL_TAINTED"
        # A grant from before she came, in the order in which it was given; then one of its own making.
        fresh = unverified(await granted(running.settings, key, mine), run_pb2.RunGrant)
        ids = {"owner": (await owner.current_user()).id, "mallory": (await mallory.current_user()).id}
        fresh.connections.extend(uses)
        fresh.principals.extend(run_pb2.Principal(user_id=ids[name]) for name in lie)
        own = sign(fresh, key)
        programs = [program_for(grant, "print('pwned')", connections=unverified(grant, run_pb2.RunGrant).connections) for grant in (before, own)]
        outcomes = [await mine.outcome(Sealer.to(mine).seal(sign(program, key))) for program in programs]
        assert outcomes[1] == "OPEN_FAILED" and outcomes[0] in ("REPLAY_REFUSED", "KERNEL_TAINTED")
        assert "pwned" not in mine.printed() and api.hits == []


async def asking(run: Run) -> InputRequest:
    """The run's next question."""
    async for event in run:
        if isinstance(event, InputRequest):
            return event
    raise AssertionError("the run ended without a question")


async def test_a_prompt_of_somebody_elses_run_is_no_way_to_its_ticket(
    running: RunningPlatform, owner: Platform, mallory: Platform, workspace: workspaces_pb2.Workspace, confidential: set[str], tmp_path: Path
) -> None:
    """A cell that may read a secret stops in a debugger. Who may run cells in the session but not read it, and the owner's own agent, type code."""
    value = f"value-{secrets.token_hex(12)}"
    confidential.add(value)
    create = secrets_pb2.CreateConnectionRequest(
        workspace_id=workspace.id,
        name=f"crown_{secrets.token_hex(3)}",
        kind="secret",
        config_json="{}",
        credential_json=json.dumps({"value": value}),
        exposable=True,
    )
    made = (await owner.connections.CreateConnection(create)).connection
    grants = [secrets_pb2.ConnectionGrant(level=USE, role=members_pb2.MEMBER_ROLE_OWNER)]
    crown = await changed(owner, made, grants=grants, replace_grants=True)
    key = members_pb2.CreateApiKeyRequest(workspace_id=workspace.id, name="agent", role=members_pb2.MEMBER_ROLE_EDITOR)
    secret = (await owner.members.CreateApiKey(key)).secret
    confidential.add(secret)
    session = await new_session(owner, workspace.id)
    theft = f"import spin_kernel.broker as b; print('stolen', len(b.secret('{crown.id}')))"
    async with (
        await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=tmp_path / "agent") as agent,
        await RuntimeSession.of(owner, session) as mine,
    ):
        await agent.sign_in_with_api_key(secret)
        code = python(f"import pdb; pdb.set_trace()\nprint('went on', len({{{{secret:{crown.name}}}}}))")
        run = await mine.start(code, allow_stdin=True)
        asked = await asking(run)
        for thief in (mallory, agent):
            async with await HandClient.attach(thief, session) as client:
                await client.send(input_reply=frames_pb2.InputReply(request_id=asked.request_id, value=theft))
                refusal = (await client.next_of("error", "input_request", "outputs")).error
                assert refusal.reason == reasons_pb2.ERROR_REASON_INPUT_REFUSED, client.printed()
                assert "Whoever ran this cell" in refusal.message
        # Hers to answer, and still open.
        await mine.reply(asked, "c")
        events = [event async for event in run]
        assert isinstance(events[-1], RunState) and events[-1].ok
        shown = b"".join(event.body for event in events if isinstance(event, Output)).decode(errors="replace")
        assert f"went on {len(value)}" in shown and "stolen" not in shown


async def approved(owner: Platform, by: Platform, session: notebooks_pb2.Session, cell: notebooks_pb2.Cell) -> None:
    request = compiler_pb2.RequestApprovalRequest(
        workspace_id=session.workspace_id,
        notebook_id=session.notebook_id,
        session_id=session.id,
        cell_id=cell.id,
        cell=compiler_pb2.CellDefinition(cell_type=cell.cell_type, source=cell.source, fields_json=cell.fields_json),
    )
    asked = (await owner.compiler.RequestApproval(request)).approval
    decision = approvals_pb2.DecideApprovalRequest(
        workspace_id=session.workspace_id, approval_id=asked.id, approve=True, source_digest=asked.source_digest
    )
    await by.approvals.DecideApproval(decision)


async def test_a_connection_that_is_led_elsewhere_between_approval_and_run(
    owner: Platform, mallory: Platform, workspace: workspaces_pb2.Workspace, api: ConnectedSystem, confidential: set[str]
) -> None:
    editors = (members_pb2.MEMBER_ROLE_EDITOR,)
    connection = await connected(owner, workspace.id, api, confidential, approval=("rest.request",), roles=editors)
    session = await new_session(owner, workspace.id)
    async with await RuntimeSession.of(owner, session) as mine:
        await approved(owner, mallory, session, used(connection))
        token = f"token-{secrets.token_hex(12)}"
        confidential.add(token)
        elsewhere = json.dumps({"base_url": f"http://{api.host}/elsewhere", "auth": "bearer"})
        await changed(owner, connection, config_json=elsewhere, credential_json=json.dumps({"token": token}))
        with pytest.raises(SpinError) as refused:
            await ran(mine, used(connection))
        assert refused.value.reason == "APPROVAL_REQUIRED" and api.hits == []


async def test_an_approval_outlives_credentials_that_the_runtime_does_not_have_yet(
    owner: Platform, mallory: Platform, workspace: workspaces_pb2.Workspace, api: ConnectedSystem, confidential: set[str]
) -> None:
    """The connection is newer than what was brought over this attachment: one approval, one run, and no second request."""
    session = await new_session(owner, workspace.id)
    async with await RuntimeSession.of(owner, session) as mine:
        await ran_well(mine, python("1"))
        connection = await connected(owner, workspace.id, api, confidential, approval=("rest.request",), roles=(members_pb2.MEMBER_ROLE_EDITOR,))
        await approved(owner, mallory, session, used(connection))
        await ran_well(mine, used(connection))
        with pytest.raises(SpinError) as refused:
            await ran(mine, used(connection))
        assert refused.value.reason == "APPROVAL_REQUIRED" and api.hits == ["GET /data"]


async def test_a_secret_that_a_variable_names_is_judged_when_it_is_read(
    owner: Platform, workspace: workspaces_pb2.Workspace, mallory: Platform, confidential: set[str]
) -> None:
    """Another secret, which everybody may use, is read in the same kernel, by the same cell."""
    values = {"open": f"value-{secrets.token_hex(12)}", "crown": f"value-{secrets.token_hex(12)}"}
    confidential |= set(values.values())
    for name, value in values.items():
        create = secrets_pb2.CreateConnectionRequest(
            workspace_id=workspace.id,
            name=f"{name}-{workspace.id[:6]}",
            kind="secret",
            config_json="{}",
            credential_json=json.dumps({"value": value}),
            exposable=True,
        )
        made = (await owner.connections.CreateConnection(create)).connection
        if name == "crown":
            grants = [secrets_pb2.ConnectionGrant(level=USE, role=members_pb2.MEMBER_ROLE_OWNER)]
            await changed(owner, made, grants=grants, replace_grants=True)
    session = await new_session(owner, workspace.id)
    async with await RuntimeSession.of(mallory, session) as hers, await RuntimeSession.of(owner, session) as mine:
        await ran_well(hers, python("1"))
        ok, shown = await ran(mine, python(f"name = 'open-{workspace.id[:6]}'\nprint(len({{{{secret_var:name}}}}))"))
        refused, said = await ran(mine, python(f"name = 'crown-{workspace.id[:6]}'\nprint(len({{{{secret_var:name}}}}))"))
    assert ok and str(len(values["open"])) in shown
    assert not refused and f"crown-{workspace.id[:6]}" in said and "mallory-" in said and "restart the kernel" in said
