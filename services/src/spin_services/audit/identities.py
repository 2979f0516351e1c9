"""The identity keys of runtimes and their homes, out of the EnrolGrants that auth signed: auth's word about a key counts only with that signature.

A runtime serves its home and the workspaces below. auth says so by answering, the workspace service by the line of ancestors; both must.

A revoked runtime's receipts are still evidence, so its identity is still known here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from spin_envelope.errors import Refused
from spin_envelope.keys import VerifyKey
from spin_services.audit.lines import Lines
from spin_services.keys import KeyStore
from spin_services.rpc.errors import ErrorReason, ServiceError, not_found
from spin_services.rpc.peers import Peers
from spinapis.auth.v1.trust_pb2 import GetRuntimeTrustRequest
from spinapis.auth.v1.trust_pb2_grpc import EnrolmentServiceStub
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant

KEPT_MS = 60_000
CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Identity:
    # The workspace that enrolled the runtime; its log holds the receipts.
    home: str
    key: VerifyKey


class Identities(Protocol):
    async def of(self, workspace_id: str, runtime_id: str) -> Identity:
        """The runtime as it serves the workspace. Raises NOT_FOUND, SIGNATURE_INVALID."""


class EnrolledIdentities:
    def __init__(self, peers: Peers, keys: KeyStore, lines: Lines, clock: Callable[[], int]) -> None:
        self._auth = peers.stub(EnrolmentServiceStub)
        self._keys = keys
        self._lines = lines
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[int, Identity]] = {}

    async def of(self, workspace_id: str, runtime_id: str) -> Identity:
        now_ms = self._clock()
        known = self._known.get((workspace_id, runtime_id))
        if known is not None and known[0] > now_ms:
            return known[1]
        answer = await self._auth.GetRuntimeTrust(GetRuntimeTrustRequest(workspace_id=workspace_id, runtime_id=runtime_id))
        identity = self._verified(answer.enrol_grant, runtime_id, now_ms)
        if identity.home != workspace_id and identity.home not in await self._lines.above(workspace_id):
            raise not_found("runtime", runtime_id)
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[workspace_id, runtime_id] = (now_ms + KEPT_MS, identity)
        return identity

    def _verified(self, enrol_grant: bytes, runtime_id: str, now_ms: int) -> Identity:
        root = self._keys.root()
        try:
            grant = root.verify(enrol_grant, EnrolGrant, now_ms, self._keys.revoked_key_ids()).message
            key = VerifyKey(grant.identity_key)
        except Refused:
            raise ServiceError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID, document="EnrolGrant") from None
        if grant.runtime_id.hex() != runtime_id:
            raise not_found("runtime", runtime_id)
        return Identity(grant.workspace_id.hex(), key)
