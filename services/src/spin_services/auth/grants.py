"""Capabilities for a runtime's socket, and grants for runs. docs/protocol.md, sections 4 and 5.

Rules: both are for a session that the workspace service knows, with its own notebook and runtime; the documents name the workspace that the runtime
was enrolled in, the permission is checked in the session's; a runtime's documents are verified before they are believed, and once for each
root document; a run's number is allocated only while the runtime is still confirmed; what connections may be used for, and which uses want an
approval, is what secrets says now and not what the compiler thinks.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spin_services.auth import approval_rules
from spin_services.auth.access import Kept
from spin_services.auth.checked_uses import Checked, CheckedUses
from spin_services.auth.documents import Documents
from spin_services.auth.places import Places
from spin_services.auth.policies import WorkspacePolicies
from spin_services.auth.principals import Principal
from spin_services.auth.store import Approvals, Runtimes
from spin_services.auth.store.runtimes import KernelStart
from spin_services.auth.tables import RuntimeRow
from spin_services.keys import KeyStore
from spin_services.rpc.errors import ErrorReason, ServiceError, invalid
from spin_services.rpc.identity import Caller
from spin_services.rpc.policy import has_permission
from spin_services.runtime_trust import VerifiedHello, VerifiedRuntime, verified_runtime, verify_hello
from spinapis.auth.v1.trust_pb2 import GetRuntimeTrustResponse, GrantRunRequest, IssueCapabilityRequest
from spinapis.envelope.v1.attach_pb2 import CapabilityToken, Challenge, Scope
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant, RuntimeConfirmation
from spinapis.envelope.v1.run_pb2 import Approval, ConnectionUse, RunGrant, RunNonce
from spinapis.envelope.v1.trust_pb2 import RuntimeStatus

CAPABILITY_LIFE_MS = 5 * 60 * 1000
GRANT_LIFE_MS = 300 * 1000
RUNTIME_KEPT_MS = 2_000
DIGEST_BYTES = 32
LARGEST_EPOCH = 2**63 - 1


@dataclass(frozen=True)
class _Runtime:
    """A runtime whose documents were verified."""

    row: RuntimeRow
    verified: VerifiedRuntime


class Grants:
    def __init__(
        self,
        runtimes: Runtimes,
        approvals: Approvals,
        places: Places,
        uses: CheckedUses,
        policies: WorkspacePolicies,
        documents: Documents,
        keys: KeyStore,
        served_origins: Sequence[str],
        clock: Callable[[], int],
    ) -> None:
        self._runtimes = runtimes
        self._approvals = approvals
        self._places = places
        self._uses = uses
        self._policies = policies
        self._documents = documents
        self._keys = keys
        self._served_origins = served_origins
        self._clock = clock
        self._kept: Kept[tuple[str, str, bytes], _Runtime] = Kept(RUNTIME_KEPT_MS, clock)

    async def capability(self, caller: Caller, request: IssueCapabilityRequest) -> tuple[bytes, bytes]:
        """The signed CapabilityToken and Challenge."""
        if len(request.cnf) != DIGEST_BYTES:
            raise invalid("cnf", "This is not the SHA-256 of a session key.")
        if request.origin and request.origin not in self._served_origins:
            raise invalid("origin", "This origin is not one that the platform serves.")
        await self._places.check_session(request.workspace_id, request.session_id, request.notebook_id, request.runtime_id)
        runtime = (await self._runtime(request.workspace_id, request.runtime_id)).verified
        now = self._clock()
        session_id = bytes.fromhex(request.session_id)
        scopes = [Scope.SCOPE_VIEW, Scope.SCOPE_RUN] if has_permission(caller, "run") else [Scope.SCOPE_VIEW]
        token = CapabilityToken(
            id=secrets.token_bytes(16),
            workspace_id=runtime.workspace_id,
            user_id=caller.user_id,
            session_id=session_id,
            notebook_id=bytes.fromhex(request.notebook_id),
            runtime_id=runtime.runtime_id,
            origin=request.origin,
            cnf=request.cnf,
            scopes=scopes,
            issued_at_ms=now,
            expires_at_ms=now + CAPABILITY_LIFE_MS,
            egress=await self._policies.capability_egress(request.workspace_id),
            actor_chain=caller.actor_chain,
        )
        challenge = Challenge(
            nonce=secrets.token_bytes(32),
            issued_at_ms=now,
            workspace_id=runtime.workspace_id,
            runtime_id=runtime.runtime_id,
            session_id=session_id,
            user_id=caller.user_id,
        )
        return self._documents.sign(token), self._documents.sign(challenge)

    async def run(self, caller: Caller, request: GrantRunRequest) -> bytes:
        """The signed RunGrant, with the next number of its kernel."""
        if len(request.source_digest) != DIGEST_BYTES:
            raise invalid("source_digest", "This is not a SHA-256 digest.")
        if not 0 < request.kernel_epoch <= LARGEST_EPOCH:
            raise invalid("kernel_epoch", "A kernel's epoch counts from 1.")
        await self._places.check_session(request.workspace_id, request.session_id, request.notebook_id, request.runtime_id)
        runtime = await self._runtime(request.workspace_id, request.runtime_id)
        now = self._clock()
        hello = verify_hello(
            self._keys.root(),
            runtime.verified,
            request.hello,
            request.challenge,
            session_id=request.session_id,
            user_id=caller.user_id,
            now_ms=now,
            revoked=self._keys.revoked_key_ids(),
        )
        row, principal = runtime.row, Principal(caller.user_id, tuple(caller.actor_chain))
        kernel = KernelStart(row.workspace_id, row.runtime_id, hello.hello.boot_id.hex(), request.kernel_epoch)
        checked = await self._checked(principal, request, kernel)
        approval_id = await self._approval(caller, request, checked.uses, now) if checked.guarding else ""
        seq = await self._runtimes.allocate_seq(kernel, row.grant_digest, principal, now)
        if seq is None:
            self._kept.clear()
            await self._runtime(request.workspace_id, request.runtime_id)
            raise ServiceError(ErrorReason.ERROR_REASON_HELLO_STALE)
        # Last, so that nothing that can still fail uses an approval up.
        approvals = [await self._used(approval_id, now)] if approval_id else []
        return self._documents.sign(_grant(caller, request, runtime.verified, hello, seq, checked, approvals, now))

    async def _checked(self, principal: Principal, request: GrantRunRequest, kernel: KernelStart) -> Checked:
        """Whose code comes into the kernel from now on, the runtime looks after."""
        named = any(use.connection_id for use in request.connections)
        present = await self._runtimes.principals(kernel) if named else []
        return await self._uses.check(request.workspace_id, principal, request.connections, present)

    async def _approval(self, caller: Caller, request: GrantRunRequest, uses: Sequence[ConnectionUse], now_ms: int) -> str:
        """The id of an unused approval of just this run. Raises APPROVAL_REQUIRED, with the id of one that nobody has decided yet."""
        subject = approval_rules.subject(caller.user_id, caller.actor_chain, request.notebook_id, request.cell_id, request.source_digest, uses)
        row = await self._approvals.open_one(request.workspace_id, subject, now_ms)
        if row is None or row.state != approval_rules.APPROVED:
            raise ServiceError(ErrorReason.ERROR_REASON_APPROVAL_REQUIRED, approval_id="" if row is None else row.id)
        return row.id

    async def _used(self, approval_id: str, now_ms: int) -> bytes:
        document = await self._approvals.use(approval_id, now_ms)
        if document is None:
            raise ServiceError(ErrorReason.ERROR_REASON_APPROVAL_REQUIRED, approval_id="")
        return self._documents.of_today(document, Approval)

    async def _runtime(self, workspace_id: str, runtime_id: str) -> _Runtime:
        """Confirmed and verified, or refused with the reason."""
        root = self._keys.root()
        key = (workspace_id, runtime_id, root.digest)
        known = self._kept.get(key)
        if known is None:
            row = await self._places.runtime(workspace_id, runtime_id)
            trust = GetRuntimeTrustResponse(
                status=RuntimeStatus.ValueType(row.status), enrol_grant=self._documents.of_today(row.enrol_grant, EnrolGrant)
            )
            if row.confirmation:
                trust.confirmation = self._documents.of_today(row.confirmation, RuntimeConfirmation)
            known = _Runtime(row, verified_runtime(root, trust, runtime_id, self._clock(), self._keys.revoked_key_ids()))
            self._kept.put(key, known)
        return known


def _grant(
    caller: Caller,
    request: GrantRunRequest,
    runtime: VerifiedRuntime,
    hello: VerifiedHello,
    seq: int,
    checked: Checked,
    approvals: list[bytes],
    now_ms: int,
) -> RunGrant:
    return RunGrant(
        workspace_id=runtime.workspace_id,
        user_id=caller.user_id,
        actor_chain=caller.actor_chain,
        session_id=bytes.fromhex(request.session_id),
        notebook_id=bytes.fromhex(request.notebook_id),
        cell_id=request.cell_id,
        runtime_id=runtime.runtime_id,
        nonce=RunNonce(boot_id=hello.hello.boot_id, kernel_epoch=request.kernel_epoch, seq=seq),
        hello_digest=hello.digest,
        source_digest=request.source_digest,
        connections=checked.granted(),
        issued_at_ms=now_ms,
        expires_at_ms=now_ms + GRANT_LIFE_MS,
        approvals=approvals,
        principals=checked.principals,
        candidates=checked.candidates,
    )
