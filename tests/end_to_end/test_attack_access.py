"""Attacks with a valid sign-in: another workspace's member, a role that may not, a person who plays a service."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import MemoryStore, Platform, SpinError
from spinapis.auth.v1 import members_pb2
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.every_method import OPTIONS, Method, every_method, reason_of
from tests.fakes.extra_runtime import workspace_named
from tests.fakes.hand_client import HandClient
from tests.fakes.stolen_keys import service_token, stolen

METHODS = {method.name: method for method in every_method()}
SERVICE_ONLY = sorted(name for name, method in METHODS.items() if method.internal)
CREDENTIAL = "s3cret-of-the-first-workspace"

# Who may call what: O owner, E editor, A agent, V viewer, U auditor. Written down by hand: the policy itself is what is tested.
ALLOWED = {
    "OEAVU": "GetWorkspace WatchWorkspace ListMembers GetRuntime ListRuntimes GetRuntimeTrust GetTrustState GetCheckpoint GetConsistencyProof "
    "ListRuns ListRunOutputs GetApproval ListApprovals GetWorkspacePolicy",
    "OEAV": "GetNotebook ListNotebooks ListNotebookVersions GetNotebookVersion ExportNotebook GetSession ListSessions ValidateCell GetConnection "
    "ListConnections IssueCapability UploadReceipts UploadOutputs",
    "OEA": "ListSharedConnections ListSecretNames RequestApproval CancelApproval OpenSession EndSession CompileCell SyncCredentials SaveCellOutputs",
    "OEU": "ListEntries WatchEntries GetInclusionProof ExportLog ListAlarms",
    "OE": "CreateNotebook UpdateNotebook DeleteNotebook RestoreNotebookVersion ImportNotebook CreateConnection UpdateConnection DeleteConnection "
    "AddMember UpdateMember RemoveMember CreateApiKey ListApiKeys RevokeApiKey CreateRuntime RegisterPairing EnrolRuntime ListKeyVersions "
    "DecideApproval ImportConnections",
    "O": "ConfirmRuntime RevokeRuntime UpdateRuntime DeleteRuntime UpdateWorkspace DeleteWorkspace RotateKey SetMinimumKeyVersion DestroyKeyVersion "
    "UpdateWorkspacePolicy",
}
WHO_MAY = {name: letters for letters, names in ALLOWED.items() for name in names.split()}
ROLES = {"U": "AUDITOR", "V": "VIEWER", "A": "AGENT", "E": "EDITOR", "O": "OWNER"}


@dataclass(frozen=True)
class Door:
    """A channel to the gateway and one person's token."""

    channel: grpc.aio.Channel
    metadata: tuple[tuple[str, str], ...] = field(repr=False)

    async def reason(self, method: Method, values: dict[str, Any]) -> str:
        return await reason_of(method, self.channel, method.request(values), self.metadata)


@pytest.fixture
async def channel(running: RunningPlatform) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"localhost:{running.settings.gateway_port}", options=OPTIONS) as opened:
        yield opened


async def member(running: RunningPlatform, owner: Platform, workspace_id: str, role: str) -> str:
    """The access token of a new person with that role in that workspace."""
    number = members_pb2.MemberRole.Value(f"MEMBER_ROLE_{role}")
    email = f"{role.lower()}-{workspace_id[:8]}@example.org"
    added = await owner.members.AddMember(members_pb2.AddMemberRequest(workspace_id=workspace_id, email=email, role=number))
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), root_digest=(await owner.trust.root()).digest) as person:
        await person.sign_in_with_link(added.sign_in_token)
        return await person.tokens.access_token()


def door(channel: grpc.aio.Channel, token: str, *more: tuple[str, str]) -> Door:
    return Door(channel, (("authorization", f"Bearer {token}"), *more))


@dataclass(frozen=True)
class Stranger:
    """An owner of another workspace, and what they found out of the first one: every id there is."""

    door: Door
    workspace_id: str
    ids: dict[str, Any]


@pytest.fixture
async def stranger(running: RunningPlatform, owner: Platform, client: HandClient, channel: grpc.aio.Channel) -> Stranger:
    workspace_id = client.session.workspace_id
    elsewhere = (await owner.workspaces.CreateWorkspace(workspaces_pb2.CreateWorkspaceRequest(name="The stranger's"))).workspace.id
    token = await member(running, owner, elsewhere, "OWNER")
    connection = await owner.connections.CreateConnection(
        secrets_pb2.CreateConnectionRequest(
            workspace_id=workspace_id,
            idempotency_key="the-first-workspaces",
            name="first",
            kind="rest",
            config_json="{}",
            credential_json=f'{{"token": "{CREDENTIAL}"}}',
            allowed_hosts=["api.example.org"],
            allowed_operations=["rest.request"],
        )
    )
    insider = await owner.members.AddMember(
        members_pb2.AddMemberRequest(workspace_id=workspace_id, email=f"insider-{elsewhere[:8]}@example.org", role=members_pb2.MEMBER_ROLE_VIEWER)
    )
    compiled = await client.compile("print(1)")
    ids = {
        "workspace_id": workspace_id,
        "notebook_id": client.session.notebook_id,
        "session_id": client.session.id,
        "runtime_id": client.session.runtime_id,
        "connection_id": connection.connection.id,
        "user_id": insider.member.user_id,
        "cell_id": "cell",
        "run_id": f"{compiled.nonce.boot_id.hex()}.{compiled.nonce.kernel_epoch}.{compiled.nonce.seq}",
        "hello": client.hello,
        "challenge": client.challenge,
        "cnf": bytes(32),
        "kernel_epoch": client.epoch,
        "version": 1,
        "etag": "1",
        "title": "taken over",
        "name": "taken-over",
        "url": "http://evil.example:8888",
        "role": members_pb2.MEMBER_ROLE_VIEWER,
        "email": "stranger@example.org",
    }
    return Stranger(door(channel, token), elsewhere, ids)


async def test_a_strangers_every_call_into_this_workspace(stranger: Stranger) -> None:
    """Not one RPC that takes a workspace answers, and each answer is the one that a workspace that does not exist would give."""
    methods = [method for method in METHODS.values() if method.in_workspace]
    assert len(methods) > 50
    nowhere = stranger.ids | {"workspace_id": "0" * 32}
    for method in methods:
        said = await stranger.door.reason(method, stranger.ids)
        assert said == ("SERVICE_ONLY" if method.internal else "NOT_FOUND"), method.name
        assert await stranger.door.reason(method, nowhere) == said, method.name


REFUSALS = {"NOT_FOUND", "INVALID_ARGUMENT", "CELL_TYPE_UNKNOWN", "PAIRING_INVALID", "SIGNATURE_INVALID"}


async def test_this_workspaces_ids_under_the_strangers_own_workspace(stranger: Stranger) -> None:
    """A workspace of one's own is no way to another's notebooks, sessions, runtimes, connections, runs or members."""
    own = stranger.ids | {"workspace_id": stranger.workspace_id}
    secret = [value for name, value in stranger.ids.items() if name.endswith("_id") and name != "cell_id"]
    dangerous = {"WorkspaceService/DeleteWorkspace"}
    for method in METHODS.values():
        if not method.in_workspace or method.internal or method.name in dangerous:
            continue
        try:
            answers = await method.call(stranger.door.channel, method.request(own), stranger.door.metadata)
        except SpinError as error:
            # Its own workspace it may change, with the right etag.
            refusals = {"ETAG_MISMATCH"} if method.name in ("WorkspaceService/UpdateWorkspace", "PolicyService/UpdateWorkspacePolicy") else REFUSALS
            assert error.reason in refusals, (method.name, error)
            continue
        for answer in answers:
            text = str(answer)
            assert not any(value in text for value in secret), method.name


async def test_a_stranger_sees_no_trace_of_this_workspace_in_lists(stranger: Stranger) -> None:
    answers = await METHODS["WorkspaceService/ListWorkspaces"].call(
        stranger.door.channel, workspaces_pb2.ListWorkspacesRequest(), stranger.door.metadata
    )
    assert [workspace.id for workspace in answers[0].workspaces] == [stranger.workspace_id]


async def test_a_strangers_socket_to_this_runtime(owner: Platform, stranger: Stranger, client: HandClient) -> None:
    """Without a capability for it there is no way onto the runtime, and auth gives a stranger none."""
    method = METHODS["GrantService/IssueCapability"]
    assert await stranger.door.reason(method, stranger.ids) == "NOT_FOUND"
    assert await stranger.door.reason(method, stranger.ids | {"workspace_id": stranger.workspace_id}) == "NOT_FOUND"


def test_every_method_is_in_the_table_of_roles() -> None:
    there = {method.descriptor.name for method in METHODS.values() if method.in_workspace and not method.internal}
    assert set(WHO_MAY) == there


async def test_each_roles_permissions_through_the_gateway(running: RunningPlatform, owner: Platform, channel: grpc.aio.Channel) -> None:
    workspace_id = await workspace_named(owner, "Roles")
    tokens = {letter: await member(running, owner, workspace_id, role) for letter, role in ROLES.items()}
    last = "WorkspaceService/DeleteWorkspace"
    names = [name for name, method in METHODS.items() if method.in_workspace and not method.internal and name != last]
    for letter, token in tokens.items():
        person = door(channel, token)
        for name in [*names, last]:
            allowed = letter in WHO_MAY[METHODS[name].descriptor.name]
            said = await person.reason(METHODS[name], {"workspace_id": workspace_id})
            assert (said != "PERMISSION_DENIED") == allowed, (ROLES[letter], name, said)
            assert said not in ("UNAUTHENTICATED", "INTERNAL", "NOT_REACHABLE"), (ROLES[letter], name, said)


@pytest.mark.parametrize("name", SERVICE_ONLY)
async def test_a_service_only_method_called_by_a_person(
    owner: Platform, workspace: workspaces_pb2.Workspace, channel: grpc.aio.Channel, name: str
) -> None:
    person = door(channel, await owner.tokens.access_token())
    assert await person.reason(METHODS[name], {"workspace_id": workspace.id}) == "SERVICE_ONLY"


@pytest.mark.parametrize("name", SERVICE_ONLY)
async def test_a_service_only_method_called_with_forged_service_tokens(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, name: str
) -> None:
    """Directly at the service: an access token as a service's, one service's key under another's name, a token for another callee."""
    method, audit = METHODS[name], stolen(running.settings, "audit")
    access = await owner.tokens.access_token()
    forged = [access] + [service_token(audit, claimed, method.service) for claimed in ("compiler", "workspace", "auth", "nobody")]
    forged.append(service_token(stolen(running.settings, "compiler"), "compiler", "nobody"))
    async with grpc.aio.insecure_channel(running.settings.service_address(method.service), options=OPTIONS) as direct:
        for token in forged:
            person = door(direct, access, ("x-spin-service", f"Bearer {token}"))
            assert await person.reason(method, {"workspace_id": workspace.id}) in ("UNAUTHENTICATED", "SERVICE_ONLY")


async def test_a_stolen_service_key_is_of_no_use_at_the_gateway(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, channel: grpc.aio.Channel
) -> None:
    """Services call one another directly: whoever comes by the door that everybody uses is no service, whatever they sign."""
    access = await owner.tokens.access_token()
    for name, service in (
        ("AccessService/GetAccess", "compiler"),
        ("LogService/AppendEntries", "workspace"),
        ("KeyService/EraseWorkspace", "workspace"),
    ):
        token = service_token(stolen(running.settings, service), service, METHODS[name].service)
        thief = door(channel, access, ("x-spin-service", f"Bearer {token}"))
        wanted = {"workspace_id": "0e" * 16 if "Erase" in name else workspace.id}
        assert await thief.reason(METHODS[name], wanted) == "SERVICE_ONLY", name


async def test_a_stolen_service_key_without_a_user(running: RunningPlatform, client: HandClient) -> None:
    """The compiler's key gets no grant for anybody who is not there."""
    method, key = METHODS["GrantService/GrantRun"], stolen(running.settings, "compiler")
    values = {"workspace_id": client.session.workspace_id, "session_id": client.session.id, "hello": client.hello, "challenge": client.challenge}
    async with grpc.aio.insecure_channel(running.settings.service_address("auth"), options=OPTIONS) as direct:
        metadata = (("x-spin-service", f"Bearer {service_token(key, 'compiler', 'auth')}"),)
        assert await reason_of(method, direct, method.request(values), metadata) == "UNAUTHENTICATED"


async def test_an_agent_runs_saved_cells_alone(running: RunningPlatform, owner: Platform, client: HandClient, tmp_path: Any) -> None:
    workspace_id, url = client.session.workspace_id, running.settings.public_url
    added = await owner.members.AddMember(
        members_pb2.AddMemberRequest(workspace_id=workspace_id, email="robot@example.org", role=members_pb2.MEMBER_ROLE_AGENT)
    )
    saved = notebooks_pb2.Cell(id="saved", cell_type="python", source="print('saved')")
    book = (
        await owner.notebooks.CreateNotebook(notebooks_pb2.CreateNotebookRequest(workspace_id=workspace_id, title="Saved", cells=[saved]))
    ).notebook
    async with await Platform.connect(url, store=MemoryStore(), pins=tmp_path) as agent:
        await agent.sign_in_with_link(added.sign_in_token)
        opened = await agent.sessions.OpenSession(notebooks_pb2.OpenSessionRequest(workspace_id=workspace_id, notebook_id=book.id))
        async with await HandClient.attach(agent, opened.session) as robot:
            await robot.start_kernel()
            with pytest.raises(SpinError) as refused:
                await robot.compile("print('changed')", "saved")
            assert refused.value.reason == "SOURCE_NOT_SAVED"
            assert await robot.outcome((await robot.compile("print('saved')", "saved")).sealed) == "OK"
            await robot.stop_kernel()


async def test_a_viewer_follows_and_runs_nothing(running: RunningPlatform, owner: Platform, client: HandClient, tmp_path: Any) -> None:
    added = await owner.members.AddMember(
        members_pb2.AddMemberRequest(workspace_id=client.session.workspace_id, email="watcher@example.org", role=members_pb2.MEMBER_ROLE_VIEWER)
    )
    sealed = (await client.compile("print('pwned')")).sealed
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=tmp_path) as viewer:
        await viewer.sign_in_with_link(added.sign_in_token)
        async with await HandClient.attach(viewer, client.session) as watching:
            with pytest.raises(SpinError) as refused:
                await watching.compile("print('pwned')")
            assert refused.value.reason == "PERMISSION_DENIED"
            # Programs of somebody else's, and the kernel's own switches.
            assert await watching.outcome(sealed) == "SCOPE_MISSING"
            for frame in ({"interrupt": {}}, {"restart_kernel": {}}, {"stop_kernel": {}}, {"complete": {"request_id": 1}}):
                await watching.send(**frame)
                assert "scope run" in (await watching.next("error")).error.message
    assert "pwned" not in client.printed()
