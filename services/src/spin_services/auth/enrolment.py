"""Pairing, enrolment, confirmation, revocation. docs/protocol.md, section 3.

Rules: the pairing key proves that a runtime was given the token, its identity key that it can sign; a pairing is for one person, one runtime
and one use; a record is enrolled once, and in its own workspace alone; a runtime is sent what its workspace inherits, so whoever confirms it may
confirm in every workspace above too; every step is logged before it is committed.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spin_envelope.errors import Refused
from spin_envelope.keys import VerifyKey
from spin_envelope.signing import Verified, unverified, verify
from spin_services.auth import domain
from spin_services.auth.documents import Documents
from spin_services.auth.places import Places
from spin_services.auth.store import Runtimes
from spin_services.auth.tables import PairingRow, RuntimeRow
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.errors import ErrorReason, ServiceError, invalid, not_found
from spin_services.rpc.identity import Caller
from spin_services.rpc.policy import AccessLookup, permissions_of
from spinapis.audit.v1.audit_pb2 import NewEntry
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant, EnrolRequest, PairRegistration, RuntimeConfirmation
from spinapis.envelope.v1.trust_pb2 import RuntimeStatus

PAIRING_LIFE_MS = 24 * 3600 * 1000
NONCE_BYTES = range(16, 65)


@dataclass(frozen=True)
class Enrolment:
    runtimes: Runtimes
    places: Places
    access: AccessLookup
    documents: Documents
    log: AuditLog
    served_origins: Sequence[str]
    min_suite: int
    clock: Callable[[], int]

    async def register(self, caller: Caller, workspace_id: str, data: bytes, origins: Sequence[str], hosts: Sequence[str]) -> int:
        """Remembers a pairing's public half; gives when it expires."""
        registration = _registration(data)
        if registration.workspace_id.hex() != workspace_id or registration.user_id != caller.user_id or len(registration.pairing_id) != 16:
            raise _pairing_invalid()
        expires = self.clock() + PAIRING_LIFE_MS
        row = PairingRow(
            workspace_id=workspace_id,
            pairing_id=registration.pairing_id.hex(),
            runtime_id=domain.check_id("runtime_id", registration.runtime_id.hex()),
            user_id=caller.user_id,
            public_key=registration.pairing_public_key,
            allowed_origins=json.dumps(domain.check_origins(origins, self.served_origins)),
            allowed_hosts=json.dumps(domain.check_hosts(hosts)),
            expires_at_ms=expires,
        )
        await self.places.check_record(workspace_id, row.runtime_id)
        async with self.runtimes.changing() as change:
            _check_new(await change.runtime(workspace_id, row.runtime_id))
            await change.add_pairing(row)
            subjects = [f"runtime:{row.runtime_id}", f"pairing:{row.pairing_id}"]
            await self._logged(caller, workspace_id, "runtime.pairing_registered", subjects)
        return expires

    async def enrol(self, caller: Caller, workspace_id: str, runtime_id: str, data: bytes) -> tuple[bytes, bytes]:
        """The signed EnrolGrant and the identity's fingerprint."""
        pairing = await self._pairing(caller, workspace_id, runtime_id, data)
        request = _enrol_request(data, pairing)
        grant = self._grant(pairing, request)
        signed = self.documents.sign(grant)
        digest = self.documents.ours(signed, EnrolGrant).digest.hex()
        async with self.runtimes.changing() as change:
            if not await change.take_pairing(workspace_id, pairing.pairing_id, self.clock()):
                raise _pairing_invalid()
            _check_new(await change.runtime(workspace_id, runtime_id))
            row = RuntimeRow(
                workspace_id=workspace_id,
                runtime_id=runtime_id,
                status=RuntimeStatus.RUNTIME_STATUS_PAIRED,
                enrol_grant=signed,
                grant_digest=digest,
                enrolled_at_ms=grant.issued_at_ms,
            )
            await change.add_runtime(row)
            body = {"enrol_grant": base64.b64encode(signed).decode(), "fingerprint": fingerprint(grant).hex()}
            await self._logged(caller, workspace_id, "runtime.enrolled", [f"runtime:{runtime_id}", f"pairing:{pairing.pairing_id}"], **body)
        return signed, fingerprint(grant)

    async def confirm(self, caller: Caller, workspace_id: str, runtime_id: str, compared: bytes) -> bytes:
        """The signed RuntimeConfirmation for the fingerprint that the member compared."""
        await self._check_confirms_above(caller, workspace_id)
        async with self.runtimes.changing() as change:
            row = _known(await change.runtime(workspace_id, runtime_id), runtime_id)
            if row.status == RuntimeStatus.RUNTIME_STATUS_REVOKED:
                raise ServiceError(ErrorReason.ERROR_REASON_RUNTIME_REVOKED)
            grant = self.documents.ours(row.enrol_grant, EnrolGrant)
            if compared != fingerprint(grant.message):
                raise invalid("fingerprint", "The runtime has another fingerprint: compare it again with the one in the runtime's own log.")
            if row.status == RuntimeStatus.RUNTIME_STATUS_CONFIRMED:
                return self.documents.of_today(row.confirmation, RuntimeConfirmation)
            signed = self.documents.sign(self._confirmation(caller, grant))
            row.status, row.confirmation = RuntimeStatus.RUNTIME_STATUS_CONFIRMED, signed
            await change.save()
            body = {"confirmation": base64.b64encode(signed).decode(), "fingerprint": compared.hex()}
            await self._logged(caller, workspace_id, "runtime.confirmed", [f"runtime:{runtime_id}"], **body)
        return signed

    async def revoke(self, caller: Caller, workspace_id: str, runtime_id: str) -> None:
        async with self.runtimes.changing() as change:
            row = _known(await change.runtime(workspace_id, runtime_id), runtime_id)
            if row.status == RuntimeStatus.RUNTIME_STATUS_REVOKED:
                return
            row.status = RuntimeStatus.RUNTIME_STATUS_REVOKED
            await change.save()
            await self._logged(caller, workspace_id, "runtime.revoked", [f"runtime:{runtime_id}"])

    async def _check_confirms_above(self, caller: Caller, workspace_id: str) -> None:
        for above in (await self.places.line(workspace_id))[1:]:
            role = await self.access.role(caller, above)
            if role is None or "runtime.confirm" not in permissions_of(caller, role):
                text = (
                    "The runtime would be sent the connections of the workspaces above as well: somebody who may confirm runtimes there too has to "
                    "compare the fingerprint, or use a runtime of theirs."
                )
                raise ServiceError(ErrorReason.ERROR_REASON_PERMISSION_DENIED, text, permission="runtime.confirm", workspace=above)

    async def _pairing(self, caller: Caller, workspace_id: str, runtime_id: str, data: bytes) -> PairingRow:
        try:
            request = unverified(data, EnrolRequest)
        except Refused:
            raise _not_signed("EnrolRequest") from None
        pairing = await self.runtimes.pairing(workspace_id, request.pairing_id.hex())
        usable = (
            pairing is not None
            and pairing.expires_at_ms > self.clock()
            and (pairing.runtime_id, pairing.user_id) == (runtime_id, caller.user_id)
            and request.workspace_id.hex() == workspace_id
        )
        if usable and pairing is not None and pairing.used_at_ms:
            raise ServiceError(ErrorReason.ERROR_REASON_PAIRING_USED)
        if pairing is None or not usable:
            raise _pairing_invalid()
        return pairing

    def _grant(self, pairing: PairingRow, request: Verified[EnrolRequest]) -> EnrolGrant:
        return EnrolGrant(
            workspace_id=bytes.fromhex(pairing.workspace_id),
            runtime_id=bytes.fromhex(pairing.runtime_id),
            identity_key=request.message.identity_key,
            nonce=request.message.nonce,
            request_digest=request.digest,
            allowed_origins=json.loads(pairing.allowed_origins),
            allowed_hosts=json.loads(pairing.allowed_hosts),
            suite=domain.chosen_suite(request.message.suites, self.min_suite),
            issued_at_ms=self.clock(),
        )

    def _confirmation(self, caller: Caller, grant: Verified[EnrolGrant]) -> RuntimeConfirmation:
        return RuntimeConfirmation(
            workspace_id=grant.message.workspace_id,
            runtime_id=grant.message.runtime_id,
            identity_key=grant.message.identity_key,
            grant_digest=grant.digest,
            confirmed_by=caller.user_id,
            confirmed_at_ms=self.clock(),
        )

    async def _logged(self, caller: Caller, workspace_id: str, kind: str, subjects: list[str], **body: str) -> None:
        entry = NewEntry(idempotency_key=domain.new_id(), type=kind, user_id=caller.user_id, subjects=subjects, body_json=json.dumps(body))
        await self.log.append(workspace_id, entry)


def fingerprint(grant: EnrolGrant) -> bytes:
    return hashlib.sha256(grant.identity_key).digest()


def _registration(data: bytes) -> PairRegistration:
    """Signed by the very key that it announces."""
    try:
        key = VerifyKey(unverified(data, PairRegistration).pairing_public_key)
        return verify(data, PairRegistration, [key]).message
    except Refused:
        raise _not_signed("PairRegistration") from None


def _enrol_request(data: bytes, pairing: PairingRow) -> Verified[EnrolRequest]:
    """Signed by the identity key inside it and by the pairing key."""
    try:
        identity = VerifyKey(unverified(data, EnrolRequest).identity_key)
        request = verify(data, EnrolRequest, [identity, VerifyKey(pairing.public_key)], threshold=2)
    except Refused:
        raise _not_signed("EnrolRequest") from None
    if len(request.message.nonce) not in NONCE_BYTES:
        raise _not_signed("EnrolRequest")
    return request


def _check_new(row: RuntimeRow | None) -> None:
    """A record has one identity for life: under a second one, trust states would bring a removed runtime to life again."""
    if row is not None:
        revoked = row.status == RuntimeStatus.RUNTIME_STATUS_REVOKED
        raise ServiceError(ErrorReason.ERROR_REASON_RUNTIME_REVOKED if revoked else ErrorReason.ERROR_REASON_RUNTIME_ENROLLED)


def _known(row: RuntimeRow | None, runtime_id: str) -> RuntimeRow:
    if row is None:
        raise not_found("runtime", runtime_id)
    return row


def _pairing_invalid() -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_PAIRING_INVALID)


def _not_signed(document: str) -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID, document=document)
