"""EnrolmentService: convert, call, convert; and the documents by which others trust a runtime."""

from collections.abc import Callable
from typing import Any

import structlog

from spin_services.auth.documents import Documents
from spin_services.auth.enrolment import Enrolment, fingerprint
from spin_services.auth.places import Places
from spin_services.auth.policies import WorkspacePolicies
from spin_services.auth.store import Runtimes
from spin_services.database import pages
from spin_services.keys import KeyStore
from spin_services.keys.store import version_of
from spin_services.rpc.errors import ErrorReason, ServiceError, not_found
from spin_services.rpc.identity import current_caller
from spin_services.rpc.peers import Peers
from spinapis.audit.v1.audit_pb2 import GetCheckpointRequest
from spinapis.audit.v1.audit_pb2_grpc import LogServiceStub
from spinapis.auth.v1 import trust_pb2 as pb
from spinapis.auth.v1.trust_pb2_grpc import EnrolmentServiceServicer
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant, RuntimeConfirmation
from spinapis.envelope.v1.trust_pb2 import RuntimeStatus, TrustState
from spinapis.secrets.v1.secrets_pb2 import GetLeastBundleVersionRequest
from spinapis.secrets.v1.secrets_pb2_grpc import ConnectionServiceStub

TRUST_LIFE_MS = 24 * 3600 * 1000
SECRETS_PATIENCE_S = 2.0

log = structlog.get_logger("spin.auth")


class EnrolmentService(EnrolmentServiceServicer):
    def __init__(
        self,
        enrolment: Enrolment,
        runtimes: Runtimes,
        places: Places,
        policies: WorkspacePolicies,
        documents: Documents,
        keys: KeyStore,
        peers: Peers,
        clock: Callable[[], int],
    ) -> None:
        self._enrolment = enrolment
        self._runtimes = runtimes
        self._places = places
        self._policies = policies
        self._documents = documents
        self._keys = keys
        self._log = peers.stub(LogServiceStub)
        self._connections = peers.stub(ConnectionServiceStub)
        self._clock = clock

    async def RegisterPairing(self, request: pb.RegisterPairingRequest, context: Any) -> pb.RegisterPairingResponse:
        expires = await self._enrolment.register(
            current_caller(), request.workspace_id, request.registration, request.allowed_origins, request.allowed_hosts
        )
        return pb.RegisterPairingResponse(expires_at_ms=expires)

    async def EnrolRuntime(self, request: pb.EnrolRuntimeRequest, context: Any) -> pb.EnrolRuntimeResponse:
        grant, print_ = await self._enrolment.enrol(current_caller(), request.workspace_id, request.runtime_id, request.enrol_request)
        return pb.EnrolRuntimeResponse(enrol_grant=grant, fingerprint=print_)

    async def ConfirmRuntime(self, request: pb.ConfirmRuntimeRequest, context: Any) -> pb.ConfirmRuntimeResponse:
        signed = await self._enrolment.confirm(current_caller(), request.workspace_id, request.runtime_id, request.fingerprint)
        return pb.ConfirmRuntimeResponse(confirmation=signed)

    async def RevokeRuntime(self, request: pb.RevokeRuntimeRequest, context: Any) -> pb.RevokeRuntimeResponse:
        await self._enrolment.revoke(current_caller(), request.workspace_id, request.runtime_id)
        return pb.RevokeRuntimeResponse()

    async def GetRuntimeTrust(self, request: pb.GetRuntimeTrustRequest, context: Any) -> pb.GetRuntimeTrustResponse:
        row = await self._places.runtime(request.workspace_id, request.runtime_id)
        grant = self._documents.of_today(row.enrol_grant, EnrolGrant)
        return pb.GetRuntimeTrustResponse(
            status=RuntimeStatus.ValueType(row.status),
            enrol_grant=grant,
            confirmation=self._documents.of_today(row.confirmation, RuntimeConfirmation) if row.confirmation else b"",
            fingerprint=fingerprint(self._documents.ours(grant, EnrolGrant).message),
            trust_expires_at_ms=row.trust_expires_at_ms,
            runs_until_ms=row.runs_until_ms,
        )

    async def ListRootDocuments(self, request: pb.ListRootDocumentsRequest, context: Any) -> pb.ListRootDocumentsResponse:
        listing, size = f"root-documents:{request.after_version}", pages.clamp(request.page_size)
        position = pages.decode(listing, request.page_token, int)
        after = int(position[0]) if position else request.after_version
        found = [data for data in self._keys.root_documents() if version_of(data) > after]
        token = pages.encode(listing, version_of(found[size - 1])) if len(found) > size else ""
        return pb.ListRootDocumentsResponse(root_documents=found[:size], next_page_token=token)

    async def GetTrustState(self, request: pb.GetTrustStateRequest, context: Any) -> pb.GetTrustStateResponse:
        row = await self._places.runtime(request.workspace_id, request.runtime_id)
        grant, checkpoint = self._documents.ours(row.enrol_grant, EnrolGrant).message, await self._checkpoint(request, row.workspace_id)
        following = await self._runtimes.next_trust(row.workspace_id, row.runtime_id, await self._least_bundle(row.workspace_id, row.runtime_id))
        if following is None:
            raise not_found("runtime", request.runtime_id)
        # Read again: what the state says must not be older than its version.
        row = await self._places.runtime(request.workspace_id, request.runtime_id)
        now, grace_ms = self._clock(), (await self._policies.own(row.workspace_id)).trust_grace_ms
        await self._runtimes.trusted_until(row.workspace_id, row.runtime_id, now + TRUST_LIFE_MS, now + TRUST_LIFE_MS + grace_ms)
        state = TrustState(
            workspace_id=grant.workspace_id,
            runtime_id=grant.runtime_id,
            version=following.version,
            issued_at_ms=now,
            expires_at_ms=now + TRUST_LIFE_MS,
            root_version=self._keys.root().version,
            revoked_key_ids=sorted(self._keys.revoked_key_ids()),
            runtime_status=RuntimeStatus.ValueType(row.status),
            min_suite=grant.suite,
            min_bundle_version=following.min_bundle_version,
            checkpoint=checkpoint,
            grace_ms=grace_ms,
        )
        return pb.GetTrustStateResponse(trust_state=self._documents.sign(state))

    async def _least_bundle(self, home: str, runtime_id: str) -> int:
        """Nothing new while secrets does not answer: a runtime that cannot be trusted anew would stop, and what is kept holds on."""
        try:
            request = GetLeastBundleVersionRequest(workspace_id=home, runtime_id=runtime_id)
            return (await self._connections.GetLeastBundleVersion(request, timeout=SECRETS_PATIENCE_S)).bundle_version
        except ServiceError as error:
            log.warning("least_bundle_unknown", runtime_id=runtime_id, reason=ErrorReason.Name(error.reason))
            return 0

    async def _checkpoint(self, request: pb.GetTrustStateRequest, home: str) -> bytes:
        """The newest note of the log that holds the runtime's receipts, asked for in the caller's own workspace; empty before the first."""
        wanted = GetCheckpointRequest(workspace_id=request.workspace_id)
        if request.workspace_id != home:
            wanted.runtime_id = request.runtime_id
        try:
            answer = await self._log.GetCheckpoint(wanted)
        except ServiceError as error:
            if error.reason in (ErrorReason.ERROR_REASON_NOT_FOUND, ErrorReason.ERROR_REASON_PERMISSION_DENIED):
                return b""
            raise
        return answer.note.encode()
