"""CompileCell, step by step. docs/protocol.md, section 5.

Rules: nothing is sealed for a runtime whose enrolment, confirmation and Hello did not verify here; nothing leaves before its digests are durable
in the log; agents run cells as they were saved.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from spin_cells.api import Cell, CellInvalid, CellType, Compiled, ConnectionInfo, Context, Secrets
from spin_cells.connections import usable
from spin_cells.secret import OPERATION
from spin_envelope.digests import sealed_digest, signed_digest, source_digest
from spin_envelope.errors import Refused
from spin_envelope.payloads import payload_type
from spin_envelope.sealing import seal
from spin_envelope.signing import sign, unverified
from spin_services.compiler import wire
from spin_services.compiler.program import Behaviour, Code, Run, build_program, check_grant, run_id
from spin_services.compiler.reading import reading
from spin_services.compiler.trust import RuntimeTrust
from spin_services.keys import KeyStore
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.rpc.identity import Caller
from spin_services.rpc.peers import Peers
from spin_services.rpc.wiring import Wiring
from spin_services.runtime_trust import VerifiedHello, VerifiedRuntime, verify_hello
from spinapis.audit.v1.audit_pb2 import NewEntry
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.auth.v1.trust_pb2 import GrantRunRequest
from spinapis.auth.v1.trust_pb2_grpc import GrantServiceStub
from spinapis.compiler.v1.compiler_pb2 import CompileCellRequest, CompileCellResponse, RequestApprovalRequest
from spinapis.envelope.v1.attach_pb2 import Hello
from spinapis.envelope.v1.run_pb2 import Approval, ConnectionUse, Program, RunGrant
from spinapis.envelope.v1.trust_pb2 import Role
from spinapis.secrets.v1.secrets_pb2 import ResolveConnectionsRequest
from spinapis.secrets.v1.secrets_pb2_grpc import ConnectionServiceStub
from spinapis.workspace.v1.notebooks_pb2 import GetNotebookRequest
from spinapis.workspace.v1.notebooks_pb2_grpc import NotebookServiceStub


@dataclass(frozen=True)
class Resolved:
    """The connections that a cell named, and the bundle that holds them."""

    context: Context
    bundle_version: int = 0


class Connections:
    """What secrets lets the caller name."""

    def __init__(self, peers: Peers) -> None:
        self._connections = peers.stub(ConnectionServiceStub)

    async def resolve(
        self, workspace_id: str, cell_type: CellType, cell: Cell, language: str, labels: Mapping[str, str], runtime_id: str = ""
    ) -> Resolved:
        """`runtime_id` says whose bundle must hold them; empty when nothing is to run."""
        references, read = await reading(cell, _named, cell_type, cell)
        if not references and read == Secrets():
            return Resolved(Context(language, labels=labels))
        request = ResolveConnectionsRequest(
            workspace_id=workspace_id, references=references, runtime_id=runtime_id, secrets=read.names, every_secret=read.every
        )
        answer = await self._connections.ResolveConnections(request)
        found = wire.by_reference(wire.connection_of(connection) for connection in answer.connections)
        secrets = wire.by_reference(wire.connection_of(secret) for secret in answer.secrets)
        return Resolved(Context(language, found, secrets, labels), answer.bundle_version)


class Compilation:
    def __init__(self, wiring: Wiring, types: Mapping[str, CellType], version: str) -> None:
        self._types = types
        self._version = version
        self._clock = wiring.clock
        self._keys: KeyStore = wiring.keys
        self._trust = RuntimeTrust(wiring.peers, wiring.keys, wiring.clock)
        self._connections = Connections(wiring.peers)
        self._grants = wiring.peers.stub(GrantServiceStub)
        self._notebooks = wiring.peers.stub(NotebookServiceStub)
        self._log = AuditLog(wiring.peers)

    async def compile(self, request: CompileCellRequest, caller: Caller) -> CompileCellResponse:
        wire.check_ids(request)
        cell = wire.cell_of(request.cell)
        cell_type = executable(self._types, cell)
        digest = source_digest(cell.cell_type, cell.source, request.cell.fields_json or "{}")
        labels = labels_of(request, caller)
        language, runtime_id = wire.language_of(request.kernel_language), _claimed_runtime(request)
        (runtime, hello), resolved, _ = await asyncio.gather(
            self._attached(request, caller, runtime_id),
            self._connections.resolve(request.workspace_id, cell_type, cell, language, labels, runtime_id),
            self._check_saved(request, caller, digest),
        )
        code = await reading(cell, compiled_code, cell_type, cell, resolved)
        run, guarded = _run(request, caller, runtime, hello, digest), is_guarded(code.uses, resolved.context)
        if guarded and request.user_expressions:
            raise ServiceError(ErrorReason.ERROR_REASON_CELL_INVALID, "Nobody approved expressions beside this cell: run it without them.")
        if guarded and request.bundle_version < resolved.bundle_version:
            # The runtime would refuse the program for its old credentials, and the approval would be used up for nothing.
            raise ServiceError(ErrorReason.ERROR_REASON_BUNDLE_STALE)
        grant, signed_grant = await self._granted(request, run, code.uses, guarded)
        program = build_program(grant, signed_grant, code, _behaviour(request), self._version, self._clock())
        return await self._issued(request.workspace_id, program, grant, hello, runtime)

    async def _attached(self, request: CompileCellRequest, caller: Caller, runtime_id: str) -> tuple[VerifiedRuntime, VerifiedHello]:
        """The runtime and its Hello, both verified."""
        runtime = await self._trust.runtime(request.workspace_id, runtime_id)
        hello = verify_hello(
            self._keys.root(),
            runtime,
            request.hello,
            request.challenge,
            session_id=request.session_id,
            user_id=caller.user_id,
            now_ms=self._clock(),
            revoked=self._keys.revoked_key_ids(),
        )
        return runtime, hello

    async def _check_saved(self, request: CompileCellRequest, caller: Caller, digest: bytes) -> None:
        """Raises SOURCE_NOT_SAVED when an agent's cell is not the notebook's. Expressions beside the cell are code that nobody saved."""
        if caller.role != MemberRole.MEMBER_ROLE_AGENT:
            return
        if request.user_expressions:
            raise ServiceError(ErrorReason.ERROR_REASON_SOURCE_NOT_SAVED)
        answer = await self._notebooks.GetNotebook(GetNotebookRequest(workspace_id=request.workspace_id, notebook_id=request.notebook_id))
        saved = next((cell for cell in answer.notebook.cells if cell.id == request.cell_id), None)
        if saved is None or source_digest(saved.cell_type, saved.source, saved.fields_json or "{}") != digest:
            raise ServiceError(ErrorReason.ERROR_REASON_SOURCE_NOT_SAVED)

    async def _granted(self, request: CompileCellRequest, run: Run, uses: Sequence[ConnectionUse], guarded: bool) -> tuple[RunGrant, bytes]:
        answer = await self._grants.GrantRun(
            GrantRunRequest(
                workspace_id=request.workspace_id,
                session_id=request.session_id,
                notebook_id=request.notebook_id,
                cell_id=request.cell_id,
                runtime_id=run.runtime_id.hex(),
                hello=request.hello,
                challenge=request.challenge,
                kernel_epoch=request.kernel_epoch,
                source_digest=run.source_digest,
                connections=uses,
            )
        )
        now, root = self._clock(), self._keys.root()
        try:
            grant = root.verify(answer.grant, RunGrant, now, self._keys.revoked_key_ids()).message
        except Refused:
            raise ServiceError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID, document="RunGrant") from None
        check_grant(grant, run, uses, guarded, now)
        return grant, answer.grant

    async def _issued(
        self, workspace_id: str, program: Program, grant: RunGrant, hello: VerifiedHello, runtime: VerifiedRuntime
    ) -> CompileCellResponse:
        """Signs, logs, seals. Sealing goes on while the log writes; the answer waits for both."""
        key = self._keys.role_key(Role.ROLE_COMPILER)
        try:
            signed = sign(program, key)
        except Refused:
            raise ServiceError(ErrorReason.ERROR_REASON_TOO_LARGE, "The compiled cell is over 4 MiB.") from None
        digest = signed_digest(signed)
        logged = asyncio.create_task(self._log.append(runtime.workspace_id.hex(), entry(workspace_id, program, grant.approvals, digest)))
        try:
            sealed = _sealed(signed, hello, runtime)
        except BaseException:
            logged.cancel()
            raise
        await logged
        return CompileCellResponse(
            sealed=sealed,
            program_digest=digest,
            ciphertext_digest=sealed_digest(sealed),
            nonce=grant.nonce,
            min_bundle_version=program.min_bundle_version,
        )


def _named(cell_type: CellType, cell: Cell) -> tuple[list[str], Secrets]:
    return list(cell_type.references(cell)), cell_type.secrets(cell)


def labels_of(request: CompileCellRequest | RequestApprovalRequest, caller: Caller) -> dict[str, str]:
    """Who and where, for cell types that say so to the remote side."""
    return {"user": caller.user_id, "notebook": request.notebook_id, "cell": request.cell_id, "session": request.session_id}


def _claimed_runtime(request: CompileCellRequest) -> str:
    """The Hello's own claim, which only says whose enrolment to look at."""
    try:
        return unverified(request.hello, Hello).runtime_id.hex()
    except Refused:
        raise ServiceError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID, document="Hello") from None


def executable(types: Mapping[str, CellType], cell: Cell) -> CellType:
    cell_type = known(types, cell.cell_type)
    if not cell_type.executable:
        raise ServiceError(ErrorReason.ERROR_REASON_CELL_INVALID, f"{cell_type.display_name} cells are shown, not run.")
    return cell_type


def known(types: Mapping[str, CellType], name: str) -> CellType:
    cell_type = types.get(name)
    if cell_type is None:
        raise ServiceError(ErrorReason.ERROR_REASON_CELL_TYPE_UNKNOWN, f"No cell type {name[:64]} is installed.", cell_type=name[:64])
    return cell_type


def entry(workspace_id: str, program: Program, approvals: Iterable[bytes], digest: bytes) -> NewEntry:
    """What the log says of a program: digests and ids, so that receipts can be matched; nothing of the code.

    `workspace_id` is the session's, which the run belongs to; the log is that of the runtime's home.
    """
    run = run_id(program.nonce)
    body = {
        "run_id": run,
        "program_digest": digest.hex(),
        "grant_digest": signed_digest(program.grant).hex(),
        "source_digest": program.source_digest.hex(),
        "workspace_id": workspace_id,
        "session_id": program.session_id.hex(),
        "notebook_id": program.notebook_id.hex(),
        "cell_id": program.cell_id,
        "cell_type": program.cell_type,
        "runtime_id": program.runtime_id.hex(),
        "user_id": program.user_id,
        "approvals": [unverified(approval, Approval).approval_id.hex() for approval in approvals],
        "connections": [{"connection_id": use.connection_id.hex(), "operations": list(use.operations)} for use in program.connections],
        "exposable": sorted({use.connection_id.hex() for use in program.connections if OPERATION in use.operations}),
    }
    subjects = [
        f"session:{program.session_id.hex()}",
        f"notebook:{program.notebook_id.hex()}",
        f"cell:{program.cell_id}",
        f"runtime:{program.runtime_id.hex()}",
        f"run:{run}",
    ]
    return NewEntry(
        idempotency_key=f"program:{digest.hex()}",
        type="program.compiled",
        user_id=program.user_id,
        subjects=subjects,
        body_json=orjson.dumps(body).decode(),
    )


def compiled_code(cell_type: CellType, cell: Cell, resolved: Resolved) -> Code:
    """Raises CELL_INVALID, and CONNECTION_UNUSABLE for operations that the connection does not allow."""
    try:
        compiled = cell_type.compile(cell, resolved.context)
    except CellInvalid as error:
        raise wire.cell_invalid(error) from None
    _check_operations(compiled, resolved.context)
    return Code(cell.cell_type, compiled.code, wire.uses_to(compiled.uses), compiled.outputs_to, resolved.bundle_version)


def is_guarded(uses: Sequence[ConnectionUse], context: Context) -> bool:
    """Whether a second person must approve the run, so that the cell is told in time; auth decides, by what secrets says."""
    guarded = {connection.id: connection.approval_operations for connection in resolved_in(context)}
    return any(guarded.get(use.connection_id, frozenset()).intersection(use.operations) for use in uses)


def resolved_in(context: Context) -> list[ConnectionInfo]:
    return [*context.connections.values(), *context.secrets.values()]


def _check_operations(compiled: Compiled, context: Context) -> None:
    """A cell type may be another's package: what it asks for must be among what was resolved, and allowed."""
    by_id = {connection.id: connection for connection in resolved_in(context)}
    for use in compiled.uses:
        if not use.connection_id:
            continue
        connection = by_id.get(use.connection_id)
        if connection is None:
            raise ServiceError(ErrorReason.ERROR_REASON_CONNECTION_UNUSABLE, connection=use.connection_id.hex())
        if refused := set(use.operations) - usable(connection.kind, connection.allowed_operations):
            text = f"The connection {connection.name} does not allow {', '.join(sorted(refused))}."
            raise ServiceError(ErrorReason.ERROR_REASON_CONNECTION_UNUSABLE, text, connection=connection.name)


def _run(request: CompileCellRequest, caller: Caller, runtime: VerifiedRuntime, hello: VerifiedHello, digest: bytes) -> Run:
    return Run(
        workspace_id=runtime.workspace_id,
        user_id=caller.user_id,
        actor_chain=caller.actor_chain,
        session_id=bytes.fromhex(request.session_id),
        notebook_id=bytes.fromhex(request.notebook_id),
        cell_id=request.cell_id,
        runtime_id=runtime.runtime_id,
        boot_id=hello.hello.boot_id,
        kernel_epoch=request.kernel_epoch,
        hello_digest=hello.digest,
        source_digest=digest,
    )


def _behaviour(request: CompileCellRequest) -> Behaviour:
    return Behaviour(
        limits=request.limits,
        silent=request.silent,
        store_history=request.store_history if request.HasField("store_history") else True,
        allow_stdin=request.allow_stdin,
        stop_on_error=request.stop_on_error if request.HasField("stop_on_error") else True,
        user_expressions=dict(request.user_expressions),
    )


def _sealed(signed: bytes, hello: VerifiedHello, runtime: VerifiedRuntime) -> bytes:
    try:
        return seal(
            signed,
            content_type=payload_type(Program),
            workspace_id=runtime.workspace_id,
            runtime_id=runtime.runtime_id,
            boot_id=hello.hello.boot_id,
            recipient=hello.hello.boot_hpke_key,
            min_suite=runtime.suite,
        )
    except Refused:
        raise ServiceError(ErrorReason.ERROR_REASON_SUITE_REFUSED, suite=str(runtime.suite)) from None
