"""The compiler over real gRPC, with auth, secrets, workspace and audit answered from memory; grants, Hellos and seals are real."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.sealing import open_sealed
from spin_envelope.signing import Verified, sign
from spin_services.compiler.app import build
from spin_services.rpc.errors import ErrorReason, ServiceError, abort
from spinapis.auth.v1 import approvals_pb2, approvals_pb2_grpc, trust_pb2, trust_pb2_grpc
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.compiler.v1 import compiler_pb2
from spinapis.compiler.v1.compiler_pb2_grpc import CompilerServiceStub
from spinapis.envelope.v1.attach_pb2 import Challenge
from spinapis.envelope.v1.run_pb2 import Program, RunGrant, RunNonce
from spinapis.envelope.v1.trust_pb2 import Role
from spinapis.secrets.v1 import secrets_pb2, secrets_pb2_grpc
from spinapis.workspace.v1 import notebooks_pb2, notebooks_pb2_grpc
from tests.fakes.installation import Installation
from tests.fakes.peer_services import FakeAccess, FakeLog, add_access, add_log, user_of
from tests.fakes.runtimes import FakeEnrolment, FakeRuntime

WORKSPACE, SESSION, NOTEBOOK = "ab" * 16, "cd" * 16, "ef" * 16
TICKETS = "12" * 16


class FakeGrants(trust_pb2_grpc.GrantServiceServicer):
    """Signs what it is asked for; `spoil` changes a grant before it is signed, `key` signs instead of auth's."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.spoil: Callable[[RunGrant], None] = lambda grant: None
        self.key = installation.keys.role_key(Role.ROLE_AUTH)
        self.runtime: FakeRuntime | None = None
        self.seq = 0
        # What each grant carries.
        self.approvals: list[bytes] = []

    async def GrantRun(self, request: Any, context: Any) -> Any:
        self.seq += 1
        now = self.installation.clock()
        grant = RunGrant(
            workspace_id=bytes.fromhex(request.workspace_id),
            user_id=user_of(context),
            session_id=bytes.fromhex(request.session_id),
            notebook_id=bytes.fromhex(request.notebook_id),
            cell_id=request.cell_id,
            runtime_id=bytes.fromhex(request.runtime_id),
            nonce=RunNonce(boot_id=self.runtime.boot_id, kernel_epoch=request.kernel_epoch, seq=self.seq),
            hello_digest=signed_digest(request.hello),
            source_digest=request.source_digest,
            connections=request.connections,
            issued_at_ms=now,
            expires_at_ms=now + 600_000,
        )
        for use in grant.connections:
            use.connection_version = 5 if use.connection_id else 0
        grant.approvals.extend(self.approvals)
        self.spoil(grant)
        return trust_pb2.GrantRunResponse(grant=sign(grant, self.key))


class FakeApprovals(approvals_pb2_grpc.ApprovalServiceServicer):
    """Remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def RequestApproval(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        return approvals_pb2.RequestApprovalResponse(approval=approvals_pb2.Approval(id="1" * 32, note=request.note))


class FakeConnections(secrets_pb2_grpc.ConnectionServiceServicer):
    def __init__(self) -> None:
        self.connections = {
            "tickets": secrets_pb2.Connection(id=TICKETS, workspace_id=WORKSPACE, name="tickets", kind="rest", allowed_operations=["rest.request"])
        }

    async def ResolveConnections(self, request: Any, context: Any) -> Any:
        missing = [reference for reference in request.references if reference not in self.connections]
        if missing:
            await abort(context, ServiceError(ErrorReason.ERROR_REASON_CONNECTION_UNUSABLE, connection=missing[0]))
        found = [self.connections[reference] for reference in request.references]
        exposable = [one.name for one in self.connections.values() if one.exposable and request.every_secret]
        secrets = [self.connections[name] for name in dict.fromkeys((*request.secrets, *exposable)) if name in self.connections]
        return secrets_pb2.ResolveConnectionsResponse(connections=found, bundle_version=7, secrets=secrets)

    def secret(self, name: str, number: str, **fields: Any) -> str:
        """Adds one, and gives its id."""
        made = secrets_pb2.Connection(id=number * 32, workspace_id=WORKSPACE, name=name, kind="secret", allowed_operations=["secret.read"], **fields)
        self.connections[name] = made
        return made.id


class FakeNotebooks(notebooks_pb2_grpc.NotebookServiceServicer):
    def __init__(self) -> None:
        self.cells: list[notebooks_pb2.Cell] = []

    async def GetNotebook(self, request: Any, context: Any) -> Any:
        return notebooks_pb2.GetNotebookResponse(notebook=notebooks_pb2.Notebook(id=request.notebook_id, cells=self.cells))


class Bench:
    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.access, self.log = FakeAccess(), FakeLog()
        self.grants, self.connections, self.notebooks = FakeGrants(installation), FakeConnections(), FakeNotebooks()
        self.approvals = FakeApprovals()
        self.enrolment = FakeEnrolment(installation.keys, WORKSPACE)
        self.runtime = self.enrolment.add()
        self.grants.runtime = self.runtime
        self.stub = CompilerServiceStub(installation.channel("compiler"))
        for name in ("EDITOR", "AGENT", "VIEWER"):
            self.access.roles[name.lower(), WORKSPACE] = MemberRole.Value(f"MEMBER_ROLE_{name}")

    async def start(self) -> None:
        start = self.installation.start_fake
        enrolment = (trust_pb2_grpc.add_EnrolmentServiceServicer_to_server, self.enrolment)
        grants = (trust_pb2_grpc.add_GrantServiceServicer_to_server, self.grants)
        approvals = (approvals_pb2_grpc.add_ApprovalServiceServicer_to_server, self.approvals)
        await start("auth", add_access(self.access), enrolment, grants, approvals)
        await start("secrets", (secrets_pb2_grpc.add_ConnectionServiceServicer_to_server, self.connections))
        await start("workspace", (notebooks_pb2_grpc.add_NotebookServiceServicer_to_server, self.notebooks))
        await start("audit", add_log(self.log))
        wiring = self.installation.wiring("compiler")
        await self.installation.start(await build(wiring), wiring)

    def attachment(self, user: str, **hello: Any) -> tuple[bytes, bytes]:
        """A signed Hello and the Challenge that it answers."""
        asked = Challenge(
            nonce=os.urandom(32),
            issued_at_ms=self.installation.clock(),
            workspace_id=bytes.fromhex(WORKSPACE),
            runtime_id=bytes.fromhex(self.runtime.runtime_id),
            session_id=bytes.fromhex(SESSION),
            user_id=user,
        )
        challenge = sign(asked, self.installation.keys.role_key(Role.ROLE_AUTH))
        return self.runtime.hello(challenge, asked, **hello), challenge

    def request(self, source: str = "1 + 1", cell_type: str = "python", fields: str = "", user: str = "editor", **more: Any) -> Any:
        hello, challenge = self.attachment(user)
        values = {
            "workspace_id": WORKSPACE,
            "notebook_id": NOTEBOOK,
            "session_id": SESSION,
            "cell_id": "c1",
            "cell": compiler_pb2.CellDefinition(cell_type=cell_type, source=source, fields_json=fields),
            "hello": hello,
            "challenge": challenge,
            "kernel_epoch": 3,
        }
        return compiler_pb2.CompileCellRequest(**(values | more))

    async def compile(self, *args: Any, user: str = "editor", **more: Any) -> Any:
        return await self.send(self.request(*args, user=user, **more), user)

    async def send(self, request: Any, user: str = "editor") -> Any:
        return await self.stub.CompileCell(request, metadata=self.installation.as_user(user))

    def open(self, answer: Any) -> Verified[Program]:
        """What the runtime does first: opens the seal and verifies the compiler's signature."""
        place = {"workspace_id": bytes.fromhex(WORKSPACE), "runtime_id": bytes.fromhex(self.runtime.runtime_id), "boot_id": self.runtime.boot_id}
        opened = open_sealed(answer.sealed, self.runtime.boot_key, **place, min_suite=2)
        assert hashlib.sha256(answer.sealed).digest() == answer.ciphertext_digest == opened.digest
        return self.installation.keys.root().verify(opened.signed, Program, self.installation.clock())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    installation = Installation(tmp_path / "installation")
    made = Bench(installation)
    await made.start()
    yield made
    await installation.close()
