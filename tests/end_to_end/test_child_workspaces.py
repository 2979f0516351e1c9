"""A child workspace on its parent's runtime, on the real processes: its members run, read and prove their own; nobody reads what is not theirs."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import MemoryStore, Platform, RuntimeSession, SpinError, every_page
from spin_client.sdk.notebook import CellFinished, NotebookRun
from spin_envelope.digests import signed_digest
from spin_envelope.export import Summary, verify_export
from spin_envelope.merkle import leaf_hash, verify_inclusion
from spin_envelope.note import open_note, origin_of
from spinapis.audit.v1 import audit_pb2
from spinapis.auth.v1 import members_pb2, trust_pb2
from spinapis.envelope.v1.trust_pb2 import ROLE_AUDIT
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.history import deliver_receipts, open_alarms, proved, runs_of
from tests.fakes.local_api import LocalApi


@dataclass
class Family:
    """The owner's workspace with its runtime and a connection; two workspaces below, with one member each who belongs nowhere else."""

    owner: Platform
    parent: str
    api: LocalApi
    child: str = ""
    sibling: str = ""
    members: dict[str, Platform] = field(default_factory=dict)
    connections: dict[str, str] = field(default_factory=dict)

    async def add(self, name: str, stack: AsyncExitStack, connect: Callable[[], Awaitable[Platform]], confidential: set[str]) -> str:
        create = workspaces_pb2.CreateWorkspaceRequest(name=f"{name} {secrets.token_hex(3)}", parent_id=self.parent)
        workspace = (await self.owner.workspaces.CreateWorkspace(create)).workspace
        email = f"{name}-{secrets.token_hex(3)}@example.org"
        request = members_pb2.AddMemberRequest(workspace_id=workspace.id, email=email, role=members_pb2.MEMBER_ROLE_EDITOR)
        token = (await self.owner.members.AddMember(request)).sign_in_token
        member = await stack.enter_async_context(await connect())
        await member.sign_in_with_link(token)
        confidential |= {token, member.tokens.refresh_token}
        self.members[name] = member
        await self.connect(member, workspace.id, f"{name}s")
        return workspace.id

    async def connect(self, platform: Platform, workspace_id: str, name: str) -> None:
        """A connection to the local API."""
        request = secrets_pb2.CreateConnectionRequest(
            workspace_id=workspace_id,
            name=f"{name}-{secrets.token_hex(3)}",
            kind="rest",
            config_json=json.dumps({"base_url": f"http://{self.api.host}", "auth": "bearer"}),
            credential_json=json.dumps({"token": self.api.token}),
            allowed_hosts=[self.api.host],
            allowed_operations=["rest.request"],
        )
        self.connections[name] = (await platform.connections.CreateConnection(request)).connection.name

    def rest(self, connection: str, variable: str = "") -> notebooks_pb2.Cell:
        fields = {"url": "/tickets", "connection": self.connections[connection]} | ({"variable": variable} if variable else {})
        return notebooks_pb2.Cell(id=f"rest-{connection}", cell_type="rest", fields_json=json.dumps(fields))


@pytest.fixture
async def family(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, tmp_path: Path, confidential: set[str]
) -> AsyncIterator[Family]:
    api = LocalApi(f"local-{secrets.token_hex(12)}")
    confidential.add(api.token)
    made = Family(owner, workspace.id, api)

    def connect() -> Awaitable[Platform]:
        return Platform.connect(running.settings.public_url, store=MemoryStore(), pins=tmp_path)

    async with AsyncExitStack() as stack:
        await made.connect(owner, workspace.id, "parents")
        made.child = await made.add("child", stack, connect, confidential)
        made.sibling = await made.add("sibling", stack, connect, confidential)
        yield made
    api.close()


async def notebook_run(
    family: Family, member: str, workspace_id: str, *cells: notebooks_pb2.Cell
) -> tuple[notebooks_pb2.Session, list[CellFinished]]:
    """A notebook of these cells, run on the inherited runtime by the member."""
    platform = family.members[member]
    request = notebooks_pb2.CreateNotebookRequest(workspace_id=workspace_id, title="Inherited", cells=cells)
    book = (await platform.notebooks.CreateNotebook(request)).notebook
    async with await RuntimeSession.open(platform, workspace_id, book.id) as session:
        done = [event async for event in NotebookRun(session, book).events() if isinstance(event, CellFinished)]
        assert await session.settle()
    return session.session, done


def python(source: str) -> notebooks_pb2.Cell:
    return notebooks_pb2.Cell(id="python", cell_type="python", source=source)


async def exported(platform: Platform, workspace_id: str, session_id: str) -> tuple[bytes, Summary]:
    request = audit_pb2.ExportLogRequest(workspace_id=workspace_id, session_id=session_id)
    data = b"".join([part.lines async for part in platform.log.ExportLog(request)])
    return data, verify_export(data.splitlines(keepends=True), signed_digest((await platform.trust.documents())[0]))


async def check_proofs(platform: Platform, session: notebooks_pb2.Session, run: audit_pb2.Run) -> None:
    """As a careful client does: the checkpoint's signature, and each entry's place below it."""
    asked = audit_pb2.GetCheckpointRequest(workspace_id=session.workspace_id, runtime_id=session.runtime_id)
    keys, origin = (await platform.trust.root()).keys(ROLE_AUDIT), origin_of(bytes.fromhex(run.log_workspace_id))
    checkpoint = open_note((await platform.log.GetCheckpoint(asked)).note, keys, origin)
    wanted = audit_pb2.ListEntriesRequest(workspace_id=session.workspace_id, session_id=session.id, subject=f"run:{run.id}")
    entries = [entry async for entry in every_page(platform.log.ListEntries, wanted, "entries")]
    assert {entry.index for entry in entries} >= set(run.entry_indexes) and len(run.entry_indexes) == 3
    for entry in entries:
        place = audit_pb2.GetInclusionProofRequest(
            workspace_id=session.workspace_id, session_id=session.id, index=entry.index, tree_size=checkpoint.size
        )
        hashes = (await platform.log.GetInclusionProof(place)).hashes
        verify_inclusion(leaf_hash(entry.leaf), entry.index, checkpoint.size, hashes, checkpoint.root_hash)


async def reason_of(call: Awaitable[object]) -> str:
    with pytest.raises(SpinError) as refused:
        await call
    return str(refused.value.reason)


async def test_a_childs_notebook_runs_on_its_parents_runtime_and_is_proved(family: Family) -> None:
    kid = family.members["child"]
    cells = (
        python("print('hello from below')"),
        family.rest("parents", "answer"),
        family.rest("childs"),
        python("assert answer.json()['tickets'] == 3"),
    )
    cells[3].id = "check"
    session, done = await notebook_run(family, "child", family.child, *cells)
    assert [(cell.cell.id, cell.ok) for cell in done] == [(cell.id, True) for cell in cells], [cell.state for cell in done]
    assert family.api.shown == [f"Bearer {family.api.token}"] * 2
    runs = await runs_of(kid, session)
    assert [run.cell_id for run in runs] == [cell.id for cell in cells]
    assert all(run.outputs_verified and run.log_workspace_id == family.parent and not run.reject_reason for run in runs)
    assert [sum(use.count for use in run.operations) for run in runs] == [0, 1, 1, 0]
    for run in runs:
        await check_proofs(kid, session, run)
    data, summary = await exported(kid, family.child, session.id)
    assert (summary.workspace_id.hex(), summary.receipts_unproved) == (family.parent, 0) and summary.receipts >= 8
    assert b"hello from below" not in data
    assert await open_alarms(kid, family.child) == []
    await proved(family.owner, family.parent)


async def test_workspaces_take_turns_on_one_runtime(family: Family) -> None:
    """Each keeps its credentials there while the others come and go."""
    for member, workspace_id in (("child", family.child), ("sibling", family.sibling), ("child", family.child)):
        _, done = await notebook_run(
            family, member, workspace_id, family.rest(f"{'child' if member == 'child' else 'sibling'}s"), family.rest("parents")
        )
        assert [cell.ok for cell in done] == [True, True], [cell.state for cell in done]
    await deliver_receipts(family.owner, await new_session(family.owner, family.parent))


async def test_a_sibling_and_the_parent_read_nothing_of_the_childs_history(family: Family) -> None:
    session, _ = await notebook_run(family, "child", family.child, python("print('private')"))
    (run,) = await runs_of(family.members["child"], session)
    for platform, workspace_id in ((family.members["sibling"], family.sibling), (family.owner, family.parent)):
        request = audit_pb2.ListRunsRequest(workspace_id=workspace_id, session_id=session.id)
        assert list((await platform.history.ListRuns(request)).runs) == []
        outputs = audit_pb2.ListRunOutputsRequest(workspace_id=workspace_id, run_id=run.id)
        assert await reason_of(platform.history.ListRunOutputs(outputs)) == "NOT_FOUND"
    sis = family.members["sibling"]
    assert (await exported(sis, family.sibling, session.id))[1].entries == 0
    entries = audit_pb2.ListEntriesRequest(workspace_id=family.sibling, session_id=session.id)
    assert list((await sis.log.ListEntries(entries)).entries) == []
    place = audit_pb2.GetInclusionProofRequest(workspace_id=family.sibling, session_id=session.id, index=run.entry_indexes[0])
    assert await reason_of(sis.log.GetInclusionProof(place)) == "NOT_FOUND"
    for workspace_id in (family.child, family.parent):
        request = audit_pb2.ListRunsRequest(workspace_id=workspace_id, session_id=session.id)
        assert await reason_of(sis.history.ListRuns(request)) == "NOT_FOUND"


async def test_a_childs_member_reads_nothing_of_the_parents_log(family: Family, session: notebooks_pb2.Session) -> None:
    kid, parent = family.members["child"], family.parent
    await deliver_receipts(family.owner, session)
    ran = (await runs_of(family.owner, session))[-1]
    own, _ = await notebook_run(family, "child", family.child, python("1"))
    log, history = kid.log, kid.history
    for call in (
        log.ListEntries(audit_pb2.ListEntriesRequest(workspace_id=parent)),
        log.GetCheckpoint(audit_pb2.GetCheckpointRequest(workspace_id=parent)),
        log.GetInclusionProof(audit_pb2.GetInclusionProofRequest(workspace_id=parent, index=0)),
        log.GetInclusionProof(audit_pb2.GetInclusionProofRequest(workspace_id=family.child, session_id=own.id, index=ran.entry_indexes[0])),
        log.GetInclusionProof(audit_pb2.GetInclusionProofRequest(workspace_id=family.child, session_id=session.id, index=ran.entry_indexes[0])),
        history.ListRuns(audit_pb2.ListRunsRequest(workspace_id=parent, session_id=session.id)),
        history.ListRunOutputs(audit_pb2.ListRunOutputsRequest(workspace_id=family.child, run_id=ran.id)),
        history.ListAlarms(audit_pb2.ListAlarmsRequest(workspace_id=parent)),
        exported(kid, parent, own.id),
    ):
        assert await reason_of(call) == "NOT_FOUND"
    assert list((await history.ListRuns(audit_pb2.ListRunsRequest(workspace_id=family.child, session_id=session.id))).runs) == []
    assert (await exported(kid, family.child, session.id))[1].entries == 0
    entries = audit_pb2.ListEntriesRequest(workspace_id=family.child, session_id=own.id)
    mine = [entry async for entry in every_page(log.ListEntries, entries, "entries")]
    assert mine and not [entry for entry in mine if entry.user_id not in ("", (await kid.current_user()).id)]


async def test_a_siblings_connection_cannot_be_named(family: Family) -> None:
    """It may well be in the runtime's hands: the sibling uses the same one."""
    _, done = await notebook_run(family, "sibling", family.sibling, family.rest("siblings"))
    assert done[0].ok
    shown = len(family.api.shown)
    _, done = await notebook_run(family, "child", family.child, family.rest("siblings"))
    assert (done[0].ok, done[0].state.reason) == (False, "CONNECTION_UNUSABLE") and len(family.api.shown) == shown


async def test_a_siblings_session_opens_no_socket(family: Family) -> None:
    session = await new_session(family.members["child"], family.child)
    stolen = notebooks_pb2.Session.FromString(session.SerializeToString())
    stolen.workspace_id = family.sibling
    with pytest.raises(SpinError) as refused:
        await HandClient.attach(family.members["sibling"], stolen)
    assert refused.value.reason == "NOT_FOUND"


async def test_a_stranger_gets_nothing_of_the_runtime(family: Family, session: notebooks_pb2.Session) -> None:
    """A workspace beside the family's: made by the child's member, who knows the runtime's id."""
    kid = family.members["child"]
    place = (await kid.workspaces.CreateWorkspace(workspaces_pb2.CreateWorkspaceRequest(name="Beside"))).workspace.id
    where: dict[str, Any] = {"workspace_id": place, "runtime_id": session.runtime_id}
    calls = (
        kid.enrolment.GetRuntimeTrust(trust_pb2.GetRuntimeTrustRequest(**where)),
        kid.enrolment.GetTrustState(trust_pb2.GetTrustStateRequest(**where)),
        kid.history.UploadReceipts(audit_pb2.UploadReceiptsRequest(**where)),
        kid.log.GetCheckpoint(audit_pb2.GetCheckpointRequest(**where)),
        kid.log.GetConsistencyProof(audit_pb2.GetConsistencyProofRequest(**where)),
    )
    assert await asyncio.gather(*(reason_of(call) for call in calls)) == ["NOT_FOUND"] * len(calls)
