"""A control plane in one process: the real gRPC interfaces on a real grpc.aio server, real signatures, everything in memory.

It authorises nobody beyond "is signed in", compiles a cell to its own source, and keeps what it is given where a test can look at it.
"""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import grpc

from spin_envelope import sealing
from spin_envelope.digests import body_commitment, sealed_digest, signed_digest
from spin_envelope.signing import unverified
from spinapis.audit.v1 import audit_pb2, audit_pb2_grpc
from spinapis.auth.v1 import members_pb2, members_pb2_grpc, policy_pb2_grpc, sign_in_pb2, sign_in_pb2_grpc, trust_pb2, trust_pb2_grpc
from spinapis.compiler.v1 import compiler_pb2, compiler_pb2_grpc
from spinapis.envelope.v1 import attach_pb2, enrol_pb2, receipt_pb2, run_pb2
from spinapis.envelope.v1 import trust_pb2 as documents_pb2
from spinapis.secrets.v1 import keys_pb2_grpc, secrets_pb2, secrets_pb2_grpc
from spinapis.workspace.v1 import notebooks_pb2, notebooks_pb2_grpc, workspaces_pb2, workspaces_pb2_grpc
from tests.fakes.documents import Signers, now_ms
from tests.fakes.merkle_log import MerkleLog
from tests.fakes.platform_audit import History, Log
from tests.fakes.platform_connections import Connections
from tests.fakes.platform_keys import Keys
from tests.fakes.platform_policies import Policies
from tests.fakes.platform_servicers import Context, Servicer, found, new_id, paged
from tests.fakes.platform_workspace import Notebooks, Runtimes, Sessions, Workspaces
from tests.fakes.rpc import Door, refuse

LINK_TOKEN = "link-token-for-tests"
PASSWORD = "correct horse battery"
API_KEY = "spk1.key-for-tests"
EMAIL = "owner@localhost"


class FakePlatform:
    """State of the fake control plane, and its servicers."""

    def __init__(self) -> None:
        self.signers = Signers()
        self.user = sign_in_pb2.User(id=new_id(), email=EMAIL, display_name="Owner", has_password=True, is_admin=True)
        self.access_tokens: set[str] = set()
        self.refresh_tokens: dict[str, bool] = {}
        self.token_life_ms = 600_000
        self.refreshes = 0
        self.workspaces: dict[str, workspaces_pb2.Workspace] = {}
        self.members: dict[str, members_pb2.Member] = {}
        self.api_keys: dict[str, members_pb2.ApiKey] = {}
        self.notebooks: dict[str, notebooks_pb2.Notebook] = {}
        self.versions: dict[str, list[notebooks_pb2.Notebook]] = {}
        self.runtimes: dict[str, workspaces_pb2.Runtime] = {}
        self.refuses_runtimes = False
        self.sessions: dict[str, notebooks_pb2.Session] = {}
        self.connections: dict[str, secrets_pb2.Connection] = {}
        self.credentials: dict[str, dict[str, Any]] = {}
        self.pairings: dict[bytes, trust_pb2.RegisterPairingRequest] = {}
        self.grants: dict[str, bytes] = {}
        self.confirmations: dict[str, bytes] = {}
        self.receipts: list[bytes] = []
        self.outputs: dict[tuple[bytes, int, int], dict[int, bytes]] = {}
        # What programs need, and whether the answer to SyncCredentials may leave.
        self.min_bundle_version = 0
        self.credentials_may_come = asyncio.Event()
        self.credentials_may_come.set()
        # How many runs came with each call, and the runs (by seq) whose outputs are refused.
        self.output_calls: list[int] = []
        self.outputs_refused: set[int] = set()
        self.saved_outputs: dict[str, list[dict[str, Any]]] = {}
        self.alarms: list[audit_pb2.Alarm] = []
        self.log: list[tuple[bytes, bytes, bytes]] = []
        self.seq = 0
        self.compiled: list[compiler_pb2.CompileCellRequest] = []
        # Set by a test: compile errors by cell id, and the seq to use next (a replay, say).
        self.broken_cells: dict[str, dict[str, str]] = {}
        # Of whoever asks.
        self.member_removed = False
        self.capabilities_asked = 0
        self.proof_unavailable = False
        self.door = Door(lambda token: token in self.access_tokens)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakePlatform"]:
        server = grpc.aio.server(interceptors=[self.door])
        sign_in_pb2_grpc.add_SignInServiceServicer_to_server(SignIn(self), server)
        members_pb2_grpc.add_MemberServiceServicer_to_server(Members(self), server)
        policy_pb2_grpc.add_PolicyServiceServicer_to_server(Policies(), server)
        trust_pb2_grpc.add_EnrolmentServiceServicer_to_server(Enrolment(self), server)
        trust_pb2_grpc.add_GrantServiceServicer_to_server(Grants(self), server)
        workspaces_pb2_grpc.add_WorkspaceServiceServicer_to_server(Workspaces(self), server)
        workspaces_pb2_grpc.add_RuntimeServiceServicer_to_server(Runtimes(self), server)
        notebooks_pb2_grpc.add_NotebookServiceServicer_to_server(Notebooks(self), server)
        notebooks_pb2_grpc.add_SessionServiceServicer_to_server(Sessions(self), server)
        compiler_pb2_grpc.add_CompilerServiceServicer_to_server(Compiler(self), server)
        secrets_pb2_grpc.add_ConnectionServiceServicer_to_server(Connections(self), server)
        keys_pb2_grpc.add_KeyServiceServicer_to_server(Keys(), server)
        audit_pb2_grpc.add_LogServiceServicer_to_server(Log(self), server)
        audit_pb2_grpc.add_HistoryServiceServicer_to_server(History(self), server)
        self.port = server.add_insecure_port("localhost:0")
        await server.start()
        try:
            yield self
        finally:
            await server.stop(0.2)

    def tokens(self) -> sign_in_pb2.Tokens:
        access, refresh = f"access-{new_id()}", f"refresh-{new_id()}"
        self.access_tokens.add(access)
        self.refresh_tokens[refresh] = True
        return sign_in_pb2.Tokens(access_token=access, refresh_token=refresh, access_expires_at_ms=now_ms() + self.token_life_ms)

    def add_workspace(self, name: str = "Operations") -> workspaces_pb2.Workspace:
        workspace = workspaces_pb2.Workspace(id=new_id(), name=name, etag="1", created_at_ms=now_ms(), updated_at_ms=now_ms())
        self.workspaces[workspace.id] = workspace
        return workspace

    def add_notebook(self, workspace_id: str, title: str, cells: list[notebooks_pb2.Cell]) -> notebooks_pb2.Notebook:
        notebook = notebooks_pb2.Notebook(
            id=new_id(), workspace_id=workspace_id, title=title, cells=cells, metadata_json="{}", version=1, etag="1", updated_at_ms=now_ms()
        )
        self.notebooks[notebook.id] = notebook
        self.versions[notebook.id] = [notebook]
        return notebook

    def append(self, kind: str, body: dict[str, Any], receipt: bytes = b"") -> None:
        salt, text = secrets.token_bytes(16), json.dumps(body).encode()
        leaf = receipt_pb2.LogLeaf(type=kind, time_ms=now_ms(), body_commitment=body_commitment(salt, text))
        if receipt:
            leaf.receipt_digest = signed_digest(receipt)
        self.log.append((leaf.SerializeToString(), salt, text))

    @property
    def tree(self) -> MerkleLog:
        return MerkleLog(leaf for leaf, _, _ in self.log)

    def checkpoint(self, workspace_id: str) -> tuple[str, int, bytes]:
        size, tree = len(self.log), self.tree
        return tree.note(bytes.fromhex(workspace_id), size, self.signers.audit).decode(), size, tree.root(size)


class SignIn(Servicer, sign_in_pb2_grpc.SignInServiceServicer):
    async def ListSignInMethods(self, request: Any, context: Context) -> Any:
        return sign_in_pb2.ListSignInMethodsResponse(password=True)

    async def RedeemSignInLink(self, request: Any, context: Context) -> Any:
        if request.token != LINK_TOKEN:
            await refuse(context, grpc.StatusCode.UNAUTHENTICATED, "SIGN_IN_LINK_INVALID", "the sign-in link was used, has expired, or never existed")
        return sign_in_pb2.RedeemSignInLinkResponse(tokens=self.p.tokens(), user=self.p.user)

    async def SignInWithPassword(self, request: Any, context: Context) -> Any:
        if (request.email, request.password) != (EMAIL, PASSWORD):
            await refuse(context, grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID", "wrong e-mail address or password")
        return sign_in_pb2.SignInWithPasswordResponse(tokens=self.p.tokens(), user=self.p.user)

    async def StartOidcSignIn(self, request: Any, context: Context) -> Any:
        return sign_in_pb2.StartOidcSignInResponse(
            authorization_url=f"http://provider.localhost/?redirect_uri={request.redirect_uri}", state="state-1"
        )

    async def FinishOidcSignIn(self, request: Any, context: Context) -> Any:
        if (request.state, request.code) != ("state-1", "code-1"):
            await refuse(context, grpc.StatusCode.UNAUTHENTICATED, "OIDC_FAILED", "the provider did not give this code")
        return sign_in_pb2.FinishOidcSignInResponse(tokens=self.p.tokens(), user=self.p.user)

    async def RefreshTokens(self, request: Any, context: Context) -> Any:
        self.p.refreshes += 1
        if self.p.refresh_tokens.get(request.refresh_token) is not True:
            await refuse(context, grpc.StatusCode.UNAUTHENTICATED, "REFRESH_REUSED", "a refresh token came twice")
        self.p.refresh_tokens[request.refresh_token] = False
        return sign_in_pb2.RefreshTokensResponse(tokens=self.p.tokens())

    async def ExchangeApiKey(self, request: Any, context: Context) -> Any:
        if request.api_key != API_KEY:
            await refuse(context, grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", "the API key is not valid")
        tokens = self.p.tokens()
        tokens.refresh_token = ""
        return sign_in_pb2.ExchangeApiKeyResponse(tokens=tokens)

    async def SignOut(self, request: Any, context: Context) -> Any:
        self.p.refresh_tokens.pop(request.refresh_token, None)
        return sign_in_pb2.SignOutResponse()

    async def GetCurrentUser(self, request: Any, context: Context) -> Any:
        return sign_in_pb2.GetCurrentUserResponse(user=self.p.user)


class Members(Servicer, members_pb2_grpc.MemberServiceServicer):
    async def ListMembers(self, request: Any, context: Context) -> Any:
        return paged(request, members_pb2.ListMembersResponse, "members", list(self.p.members.values()))

    async def AddMember(self, request: Any, context: Context) -> Any:
        member = members_pb2.Member(user_id=new_id(), email=request.email, role=request.role, etag="1", added_at_ms=now_ms())
        self.p.members[member.user_id] = member
        return members_pb2.AddMemberResponse(member=member, sign_in_token="hand-this-over")

    async def UpdateMember(self, request: Any, context: Context) -> Any:
        member = await found(context, self.p.members, request.user_id, "member")
        member.role = request.role
        return members_pb2.UpdateMemberResponse(member=member)

    async def RemoveMember(self, request: Any, context: Context) -> Any:
        await found(context, self.p.members, request.user_id, "member")
        del self.p.members[request.user_id]
        return members_pb2.RemoveMemberResponse()

    async def CreateApiKey(self, request: Any, context: Context) -> Any:
        key = members_pb2.ApiKey(id=new_id(), name=request.name, role=request.role, created_at_ms=now_ms(), expires_at_ms=request.expires_at_ms)
        self.p.api_keys[key.id] = key
        return members_pb2.CreateApiKeyResponse(api_key=key, secret="spk1.shown-once")

    async def ListApiKeys(self, request: Any, context: Context) -> Any:
        return paged(request, members_pb2.ListApiKeysResponse, "api_keys", list(self.p.api_keys.values()))

    async def RevokeApiKey(self, request: Any, context: Context) -> Any:
        (await found(context, self.p.api_keys, request.api_key_id, "api_key")).revoked = True
        return members_pb2.RevokeApiKeyResponse()


class Enrolment(Servicer, trust_pb2_grpc.EnrolmentServiceServicer):
    async def RegisterPairing(self, request: Any, context: Context) -> Any:
        registration = unverified(request.registration, enrol_pb2.PairRegistration)
        self.p.pairings[registration.pairing_id] = request
        return trust_pb2.RegisterPairingResponse(expires_at_ms=now_ms() + 86_400_000)

    async def EnrolRuntime(self, request: Any, context: Context) -> Any:
        wanted = unverified(request.enrol_request, enrol_pb2.EnrolRequest)
        pairing = self.p.pairings.pop(wanted.pairing_id, None)
        if pairing is None:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "PAIRING_INVALID", "the pairing was used, has expired, or is for someone else")
        grant = self.p.signers.enrol_grant(request.enrol_request, bytes.fromhex(request.runtime_id), list(pairing.allowed_hosts))
        self.p.grants[request.runtime_id] = grant
        self.p.append("runtime.enrolled", {"enrol_grant": base64.b64encode(grant).decode()})
        return trust_pb2.EnrolRuntimeResponse(enrol_grant=grant, fingerprint=sha256(wanted.identity_key).digest())

    async def ConfirmRuntime(self, request: Any, context: Context) -> Any:
        grant = await found(context, self.p.grants, request.runtime_id, "runtime")
        identity = unverified(grant, enrol_pb2.EnrolGrant).identity_key
        if request.fingerprint != sha256(identity).digest():
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "that is not the runtime's fingerprint", field="fingerprint")
        confirmation = self.p.confirmations[request.runtime_id] = self.p.signers.confirmation(grant, self.p.user.id)
        return trust_pb2.ConfirmRuntimeResponse(confirmation=confirmation)

    async def RevokeRuntime(self, request: Any, context: Context) -> Any:
        self.p.grants.pop(request.runtime_id, None)
        return trust_pb2.RevokeRuntimeResponse()

    async def GetRuntimeTrust(self, request: Any, context: Context) -> Any:
        grant, confirmation = self.p.grants.get(request.runtime_id, b""), self.p.confirmations.get(request.runtime_id, b"")
        status = documents_pb2.RUNTIME_STATUS_CONFIRMED if confirmation else documents_pb2.RUNTIME_STATUS_PAIRED
        return trust_pb2.GetRuntimeTrustResponse(
            status=status if grant else documents_pb2.RUNTIME_STATUS_UNSPECIFIED, enrol_grant=grant, confirmation=confirmation
        )

    async def ListRootDocuments(self, request: Any, context: Context) -> Any:
        return trust_pb2.ListRootDocumentsResponse(root_documents=self.p.signers.documents[request.after_version :])

    async def GetTrustState(self, request: Any, context: Context) -> Any:
        state = self.p.signers.trust_state(bytes.fromhex(request.workspace_id), bytes.fromhex(request.runtime_id))
        return trust_pb2.GetTrustStateResponse(trust_state=state)


class Grants(Servicer, trust_pb2_grpc.GrantServiceServicer):
    async def IssueCapability(self, request: Any, context: Context) -> Any:
        self.p.capabilities_asked += 1
        if self.p.member_removed:
            await refuse(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "there is no such workspace, or you may not see it")
        workspace, session, runtime = (bytes.fromhex(v) for v in (request.workspace_id, request.session_id, request.runtime_id))
        return trust_pb2.IssueCapabilityResponse(
            capability=self.p.signers.capability(workspace, session, runtime, request.cnf),
            challenge=self.p.signers.challenge(workspace, session, runtime),
        )


class Compiler(Servicer, compiler_pb2_grpc.CompilerServiceServicer):
    async def ListCellTypes(self, request: Any, context: Context) -> Any:
        names = {"python": True, "code": True, "shell": True, "markdown": False}
        types = [compiler_pb2.CellType(name=name, executable=runs) for name, runs in names.items()]
        return paged(request, compiler_pb2.ListCellTypesResponse, "cell_types", types)

    async def CompileCell(self, request: Any, context: Context) -> Any:
        self.p.compiled.append(request)
        if request.cell_id in self.p.broken_cells:
            problems = self.p.broken_cells[request.cell_id]
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "CELL_INVALID", "the cell does not compile", problems)
        hello = unverified(request.hello, attach_pb2.Hello)
        self.p.seq += 1
        nonce = run_pb2.RunNonce(boot_id=hello.boot_id, kernel_epoch=request.kernel_epoch, seq=self.p.seq)
        program = self.p.signers.program(self._program(request, hello, nonce))
        sealed = sealing.seal(
            program,
            content_type="application/vnd.spin.program.v1+protobuf",
            workspace_id=hello.workspace_id,
            runtime_id=hello.runtime_id,
            boot_id=hello.boot_id,
            recipient=hello.boot_hpke_key,
            min_suite=2,
        )
        self.p.append("program.compiled", {"cell_id": request.cell_id})
        return compiler_pb2.CompileCellResponse(
            sealed=sealed,
            program_digest=signed_digest(program),
            ciphertext_digest=sealed_digest(sealed),
            nonce=nonce,
            min_bundle_version=self.p.min_bundle_version,
        )

    def _program(self, request: Any, hello: attach_pb2.Hello, nonce: run_pb2.RunNonce) -> run_pb2.Program:
        return run_pb2.Program(
            workspace_id=hello.workspace_id,
            user_id=self.p.user.id,
            session_id=hello.session_id,
            cell_id=request.cell_id,
            runtime_id=hello.runtime_id,
            nonce=nonce,
            code=request.cell.source,
            allow_stdin=request.allow_stdin,
            user_expressions=request.user_expressions,
        )
