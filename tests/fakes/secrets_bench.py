"""What tests of the secrets service do all the time: make connections, synchronise them to a runtime, open what it got."""

import os
from typing import Any

import orjson

from spin_cells.api import ConnectionKind
from spin_cells.definition import form
from spin_cells.registry import connection_kinds
from spin_envelope.sealing import open_sealed
from spin_envelope.signing import Verified, sign
from spin_services.keys.providers import KekProvider, open_provider
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.auth.v1.trust_pb2_grpc import add_EnrolmentServiceServicer_to_server
from spinapis.envelope.v1.attach_pb2 import Challenge
from spinapis.envelope.v1.run_pb2 import CredentialBundle
from spinapis.envelope.v1.trust_pb2 import Role
from spinapis.secrets.v1 import secrets_pb2 as pb
from spinapis.secrets.v1.secrets_pb2_grpc import ConnectionServiceStub
from tests.fakes.installation import Installation
from tests.fakes.peer_services import FakeAccess, FakeHistory, FakeLog, FakeWorkspaces, add_access, add_history, add_log, add_workspaces
from tests.fakes.runtimes import FakeEnrolment, FakeRuntime

# Another package's kind, beside ours.
QUEUE = ConnectionKind(
    "queue", form({"address": {"type": "string", "description": "The queue's address."}}), form({}), frozenset({"queue.put", "queue.get"})
)
KINDS = {**connection_kinds(), QUEUE.name: QUEUE}
PARENT, WORKSPACE, OTHER = "aa" * 16, "ab" * 16, "ac" * 16
SECRET = "correct-horse-battery-staple"


class SecretsBench:
    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        # The running service's.
        self.wiring: Any = None
        self.kek: KekProvider = open_provider(installation.platform.kek, {})
        self.access, self.log, self.workspaces = FakeAccess(), FakeLog(), FakeWorkspaces()
        self.history = FakeHistory()
        self.enrolment = FakeEnrolment(installation.keys, WORKSPACE)
        self.stub = ConnectionServiceStub(installation.channel("secrets"))
        self.workspaces.parents[WORKSPACE] = PARENT

    async def start_peers(self) -> None:
        for role in ("OWNER", "EDITOR", "AGENT", "VIEWER", "AUDITOR"):
            for workspace_id in (PARENT, WORKSPACE, OTHER):
                self.access.roles[role.lower(), workspace_id] = MemberRole.Value(f"MEMBER_ROLE_{role}")
        await self.installation.start_fake("auth", add_access(self.access), (add_EnrolmentServiceServicer_to_server, self.enrolment))
        await self.installation.start_fake("workspace", *add_workspaces(self.workspaces))
        await self.installation.start_fake("audit", add_log(self.log), add_history(self.history))

    def by(self, user: str) -> Any:
        return self.installation.as_user(user)

    async def create(self, name: str = "warehouse", *, user: str = "owner", **fields: Any) -> pb.Connection:
        values: dict[str, Any] = {
            "workspace_id": WORKSPACE,
            "name": name,
            "kind": "rest",
            "config_json": '{"base_url":"https://db.example.org"}',
            "credential_json": orjson.dumps({"username": "reader", "password": SECRET}).decode(),
            "allowed_hosts": ["db.example.org:5432"],
            "allowed_operations": ["rest.request"],
        }
        request = pb.CreateConnectionRequest(**(values | fields))
        return (await self.stub.CreateConnection(request, metadata=self.by(user))).connection

    async def update(self, connection: pb.Connection, *, user: str = "owner", **fields: Any) -> pb.Connection:
        values = {"workspace_id": connection.workspace_id, "connection_id": connection.id, "etag": connection.etag}
        request = pb.UpdateConnectionRequest(**(values | fields))
        return (await self.stub.UpdateConnection(request, metadata=self.by(user))).connection

    async def delete(self, connection: pb.Connection) -> None:
        request = pb.DeleteConnectionRequest(workspace_id=connection.workspace_id, connection_id=connection.id, etag=connection.etag)
        await self.stub.DeleteConnection(request, metadata=self.by("owner"))

    async def listed(self, user: str = "owner", workspace_id: str = WORKSPACE, **fields: Any) -> list[pb.Connection]:
        request = pb.ListConnectionsRequest(workspace_id=workspace_id, **fields)
        return list((await self.stub.ListConnections(request, metadata=self.by(user))).connections)

    async def list(self, user: str = "owner", workspace_id: str = WORKSPACE, **fields: Any) -> list[pb.Connection]:
        """As they were made and changed. When each was used is told by lists alone: see `listed`."""
        found = await self.listed(user, workspace_id, **fields)
        for connection in found:
            connection.ClearField("last_used_at_ms")
        return found

    async def resolve(self, *references: str, workspace_id: str = WORKSPACE, runtime: FakeRuntime | None = None) -> pb.ResolveConnectionsResponse:
        runtime_id = runtime.runtime_id if runtime is not None else ""
        request = pb.ResolveConnectionsRequest(workspace_id=workspace_id, references=references, runtime_id=runtime_id)
        return await self.stub.ResolveConnections(request, metadata=self.installation.as_service("compiler", "secrets", "agent"))

    async def least(self, runtime: FakeRuntime) -> int:
        """The floor of the runtime's trust state, as auth asks for it."""
        request = pb.GetLeastBundleVersionRequest(workspace_id=runtime.workspace_id, runtime_id=runtime.runtime_id)
        answer = await self.stub.GetLeastBundleVersion(request, metadata=self.installation.as_service("auth", "secrets", "owner"))
        return answer.bundle_version

    def challenge(self, runtime: FakeRuntime, user: str = "owner", **fields: Any) -> tuple[bytes, Challenge]:
        values: dict[str, Any] = {
            "nonce": os.urandom(32),
            "issued_at_ms": self.installation.clock(),
            "workspace_id": bytes.fromhex(runtime.workspace_id),
            "runtime_id": bytes.fromhex(runtime.runtime_id),
            "session_id": os.urandom(16),
            "user_id": user,
        }
        asked = Challenge(**(values | fields))
        return sign(asked, self.installation.keys.role_key(Role.ROLE_AUTH)), asked

    async def sync(
        self, runtime: FakeRuntime, *, held: int = 0, user: str = "owner", workspace_id: str = WORKSPACE, **hello_fields: Any
    ) -> pb.SyncCredentialsResponse:
        challenge, asked = self.challenge(runtime)
        hello = runtime.hello(challenge, asked, bundle_version=held, **hello_fields)
        request = pb.SyncCredentialsRequest(workspace_id=workspace_id, runtime_id=runtime.runtime_id, hello=hello, challenge=challenge)
        return await self.stub.SyncCredentials(request, metadata=self.by(user))

    def open(self, runtime: FakeRuntime, sealed: bytes) -> Verified[CredentialBundle]:
        """As the runtime's broker does."""
        ids = {"workspace_id": bytes.fromhex(runtime.workspace_id), "runtime_id": bytes.fromhex(runtime.runtime_id), "boot_id": runtime.boot_id}
        opened = open_sealed(sealed, runtime.boot_key, min_suite=2, **ids)
        return self.installation.keys.root().verify(opened.signed, CredentialBundle, self.installation.clock())
