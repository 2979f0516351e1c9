"""A running auth service with faked peers, and people who signed in to it."""

import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from spin_services.auth.app import build
from spin_services.database import Database, upgrade
from spinapis.auth.v1 import (
    approvals_pb2_grpc,
    members_pb2,
    members_pb2_grpc,
    policy_pb2_grpc,
    sign_in_pb2,
    sign_in_pb2_grpc,
    trust_pb2,
    trust_pb2_grpc,
)
from tests.fakes.installation import Installation, Metadata, free_ports
from tests.fakes.paired_runtime import PairedRuntime
from tests.fakes.peer_services import FakeLog, FakeSecrets, FakeWorkspaces, add_log, add_secrets, add_workspaces

PASSWORD = "correct horse battery"


class Auth:
    """The service's stubs, and shortcuts for what most tests need first."""

    def __init__(self, installation: Installation) -> None:
        self.installation, self.log, self.workspaces, self.secrets = installation, FakeLog(), FakeWorkspaces(), FakeSecrets()
        channel = installation.channel("auth")
        self.sign_in = sign_in_pb2_grpc.SignInServiceStub(channel)
        self.members = members_pb2_grpc.MemberServiceStub(channel)
        self.access = members_pb2_grpc.AccessServiceStub(channel)
        self.enrolment = trust_pb2_grpc.EnrolmentServiceStub(channel)
        self.grants = trust_pb2_grpc.GrantServiceStub(channel)
        self.approvals = approvals_pb2_grpc.ApprovalServiceStub(channel)
        self.policies = policy_pb2_grpc.PolicyServiceStub(channel)

    async def start(self, environment: Mapping[str, str] | None = None) -> None:
        await self.installation.start_fake("audit", add_log(self.log))
        await self.installation.start_fake("workspace", *add_workspaces(self.workspaces))
        await self.installation.start_fake("secrets", add_secrets(self.secrets))
        wiring = self.installation.wiring("auth", environment)
        await self.installation.start(await build(wiring), wiring)

    @property
    def first_token(self) -> str:
        return (self.installation.platform.data_dir / "first-sign-in").read_text().strip()

    async def owner(self) -> "Person":
        """The installation's first person, signed in."""
        return await self.redeem(self.first_token)

    async def redeem(self, token: str) -> "Person":
        answer = await self.sign_in.RedeemSignInLink(sign_in_pb2.RedeemSignInLinkRequest(token=token))
        return Person(answer.user, answer.tokens)

    async def found(self, owner: "Person") -> str:
        """A new workspace of that person."""
        workspace_id = secrets.token_hex(16)
        metadata = self.installation.as_service("workspace", "auth") + owner.metadata
        await self.access.FoundWorkspace(members_pb2.FoundWorkspaceRequest(workspace_id=workspace_id), metadata=metadata)
        return workspace_id

    async def invite(self, workspace_id: str, by: "Person", role: str, email: str = "") -> "Person":
        """A new member, signed in by the link of the invitation."""
        request = members_pb2.AddMemberRequest(workspace_id=workspace_id, email=email or f"{secrets.token_hex(4)}@example.org")
        request.role = members_pb2.MemberRole.Value(f"MEMBER_ROLE_{role.upper()}")
        answer = await self.members.AddMember(request, metadata=by.metadata)
        return await self.redeem(answer.sign_in_token)

    async def enrolled(self, workspace_id: str, owner: "Person") -> PairedRuntime:
        """A runtime that is paired and not yet confirmed."""
        runtime = PairedRuntime(workspace_id, owner.id)
        register = trust_pb2.RegisterPairingRequest(workspace_id=workspace_id, registration=runtime.registration(), allowed_hosts=["127.0.0.1:8888"])
        await self.enrolment.RegisterPairing(register, metadata=owner.metadata)
        enrol = trust_pb2.EnrolRuntimeRequest(workspace_id=workspace_id, runtime_id=runtime.runtime_id, enrol_request=runtime.enrol_request())
        await self.enrolment.EnrolRuntime(enrol, metadata=owner.metadata)
        return runtime

    async def confirmed(self, workspace_id: str, owner: "Person") -> PairedRuntime:
        runtime = await self.enrolled(workspace_id, owner)
        trust = await self.trust(workspace_id, runtime.runtime_id, owner)
        confirm = trust_pb2.ConfirmRuntimeRequest(workspace_id=workspace_id, runtime_id=runtime.runtime_id, fingerprint=trust.fingerprint)
        await self.enrolment.ConfirmRuntime(confirm, metadata=owner.metadata)
        return runtime

    async def trust(self, workspace_id: str, runtime_id: str, by: "Person") -> Any:
        request = trust_pb2.GetRuntimeTrustRequest(workspace_id=workspace_id, runtime_id=runtime_id)
        return await self.enrolment.GetRuntimeTrust(request, metadata=by.metadata)


class Person:
    """Someone with tokens."""

    def __init__(self, user: sign_in_pb2.User, tokens: sign_in_pb2.Tokens) -> None:
        self.user, self.tokens, self.id = user, tokens, user.id

    @property
    def metadata(self) -> Metadata:
        return (("authorization", f"Bearer {self.tokens.access_token}"),)


@pytest.fixture
async def auth(installation: Installation) -> Auth:
    made = Auth(installation)
    await made.start()
    return made


@pytest.fixture
async def auth_on(tmp_path: Path, database_url: str) -> AsyncIterator[Auth]:
    """The same on each database engine."""
    installation = Installation(tmp_path / "installation", database_url)
    made = Auth(installation)
    await made.start()
    yield made
    await installation.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """auth's tables, empty, on each engine."""
    opened = Database(database_url, "auth")
    await upgrade(opened, "spin_services.auth.migrations")
    yield opened
    await opened.close()


@pytest.fixture
def auth_class() -> type[Auth]:
    """For a service with an environment of its own."""
    return Auth


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A process of its own."""
    port = free_ports(1)[0]
    argv = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            httpx.get(f"{address}/.well-known/openid-configuration")
            break
        except httpx.TransportError:
            time.sleep(0.1)
    yield address
    process.terminate()
    process.wait(10)
