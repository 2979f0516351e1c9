"""Runtimes' enrolments as this service verified them itself.

Rules: what verified is believed for 5 seconds, so that a revocation counts within that time, and only under the root document and the revoked
keys that it was verified with.
"""

from collections.abc import Callable

from spin_services.keys import KeyStore
from spin_services.rpc.peers import Peers
from spin_services.runtime_trust import VerifiedRuntime, verified_runtime
from spinapis.auth.v1.trust_pb2 import GetRuntimeTrustRequest
from spinapis.auth.v1.trust_pb2_grpc import EnrolmentServiceStub

KEPT_MS = 5_000
CACHE_SIZE = 10_000
_State = tuple[bytes, frozenset[bytes]]


class RuntimeTrust:
    def __init__(self, peers: Peers, keys: KeyStore, clock: Callable[[], int]) -> None:
        self._enrolments = peers.stub(EnrolmentServiceStub)
        self._keys = keys
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[int, _State, VerifiedRuntime]] = {}

    async def runtime(self, workspace_id: str, runtime_id: str) -> VerifiedRuntime:
        """Raises RUNTIME_REVOKED, RUNTIME_NOT_CONFIRMED, SIGNATURE_INVALID, or what auth answers."""
        root, revoked, now = self._keys.root(), self._keys.revoked_key_ids(), self._clock()
        known = self._known.get((workspace_id, runtime_id))
        if known and known[0] > now and known[1] == (root.digest, revoked):
            return known[2]
        answer = await self._enrolments.GetRuntimeTrust(GetRuntimeTrustRequest(workspace_id=workspace_id, runtime_id=runtime_id))
        verified = verified_runtime(root, answer, runtime_id, now, revoked)
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[workspace_id, runtime_id] = (now + KEPT_MS, (root.digest, revoked), verified)
        return verified
