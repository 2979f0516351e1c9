"""What a paired runtime believes: its root, its trust state, and when it may run code. docs/protocol.md, section 2. Pure.

- Versions only rise. A document that was seen before may come again; an older one, or another one of the same version, is refused.
- Nothing runs without a trust state that says CONFIRMED and is fresh, which is 24 hours at most, or in its grace, which is 72 at most. A grace
  is the newest trust state's own: a later one may take it away.
- A revocation is final for the identity that it is about: no later trust state lifts it.
- What counts as seen was signed by a key that the root still lists: else whoever once stole a key could shut out all that comes after it by the
  highest version (TUF, 5.3.11, fast-forward attacks).
- A trust state shows a checkpoint of the log; what the runtime makes of it stands in `witness`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from spin_envelope.errors import Refused
from spin_envelope.keys import VerifyKey
from spin_envelope.note import origin_of
from spin_envelope.root import TrustedRoot
from spin_envelope.sealing import Suite
from spin_runtime.broker.api import LogProof, Status
from spin_runtime.broker.refusals import Denial, open_failed
from spin_runtime.broker.witness import NOTHING_SEEN, Log, Signers, proved, shown, shown_size
from spinapis.envelope.v1 import enrol_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2

SKEW_MS = 90 * 1000
TRUST_VALIDITY_MS = 24 * 3600 * 1000
MAX_GRACE_MS = 72 * 3600 * 1000
REVOKED = "The runtime was removed from the workspace: it runs nothing any more."


@dataclass(frozen=True)
class Trust:
    grant: enrol_pb2.EnrolGrant
    root: TrustedRoot
    # The signed documents, from the pinned one to `root`.
    documents: tuple[bytes, ...]
    state: trust_pb2.TrustState
    state_data: bytes = b""
    log: Log = NOTHING_SEEN

    @property
    def revoked(self) -> Collection[bytes]:
        return self.state.revoked_key_ids

    @property
    def identity_revoked(self) -> bool:
        """The record has another identity now, or none."""
        return self.state.runtime_status == trust_pb2.RUNTIME_STATUS_REVOKED or VerifyKey(self.grant.identity_key).key_id in self.revoked

    @property
    def suite(self) -> Suite:
        """The suite of the boot key: the one pinned at enrolment, or a better one that has become the least."""
        return Suite(max(self.grant.suite, self.state.min_suite))

    @property
    def log_shown(self) -> int:
        """The size of the log that the trust state shows, proved or not."""
        return shown_size(self.state.checkpoint, origin_of(self.grant.workspace_id))


def walk(pinned: bytes, digest: bytes, documents: Iterable[bytes], now_ms: int) -> TrustedRoot:
    """The newest root, step by step from the pinned one; `now_ms` 0 asks for no time. Raises Refused."""
    root = TrustedRoot.pinned(pinned, digest)
    for document in documents:
        root = root.updated(document)
    root.check_time(now_ms)
    return root


def with_documents(trust: Trust, documents: Sequence[bytes]) -> Trust:
    """Goes on to newer root documents. Raises Refused, and Denial for older ones.

    Clients send the whole list. What lies before the document that SPIN_TOKEN pinned was never of use here and is passed over.
    """
    new, root = list(trust.documents), trust.root
    pinned = _version(new[0])
    for document in documents:
        if document in new or _version(document) < pinned:
            continue
        root = _next_root(root, document)
        new.append(document)
    if documents and documents[-1] != new[-1]:
        raise _rollback("root-document", f"root document {root.version} is known and an older one came last")
    return replace(trust, root=root, documents=tuple(new))


def _version(document: bytes) -> int:
    return TrustedRoot.pinned(document, None).version


def _next_root(root: TrustedRoot, document: bytes) -> TrustedRoot:
    version = _version(document)
    if version <= root.version:
        raise _rollback("root-document", f"root document {version} came where {root.version} is known")
    return root.updated(document)


def with_state(trust: Trust, data: bytes, now_ms: int) -> Trust:
    """Takes a newer trust state. Raises Refused, and Denial for what is authentic and not acceptable."""
    if data == trust.state_data:
        return trust
    if trust.identity_revoked:
        raise Denial(reasons_pb2.ERROR_REASON_RUNTIME_REVOKED, REVOKED, "a trust state after the revocation")
    verified = trust.root.verify(data, trust_pb2.TrustState, now_ms, trust.revoked)
    state = verified.message
    _check_target(trust, state)
    _check_versions(trust, state)
    _check_validity(state, now_ms)
    return replace(trust, state=state, state_data=data, log=shown(trust.log, state.checkpoint, _log_signers(trust)))


def with_log_proof(trust: Trust, proof: LogProof) -> Trust:
    """Holds the checkpoint that the proof leads to. Raises Refused and Denial."""
    return replace(trust, log=proved(trust.log, proof, _log_signers(trust)))


def _log_signers(trust: Trust) -> Signers:
    keys = [key for key in trust.root.keys(trust_pb2.ROLE_AUDIT) if key.key_id not in trust.revoked]
    return Signers(keys, origin_of(trust.grant.workspace_id))


def _check_target(trust: Trust, state: trust_pb2.TrustState) -> None:
    if (state.workspace_id, state.runtime_id) != (trust.grant.workspace_id, trust.grant.runtime_id):
        raise open_failed("a trust state for another runtime")


def _check_versions(trust: Trust, state: trust_pb2.TrustState) -> None:
    known = _counting(trust)
    if state.version <= known.version:
        raise _rollback("trust-state", f"trust state {state.version} came where {known.version} is known")
    if state.min_suite < known.min_suite or state.min_bundle_version < known.min_bundle_version:
        raise _rollback("trust-state", f"trust state {state.version} lowers the least suite or the least bundle version")
    if state.root_version > trust.root.version:
        raise _rollback("root-document", f"trust state {state.version} builds on root document {state.root_version}; known is {trust.root.version}")
    if state.min_suite > max(Suite):
        raise Denial(reasons_pb2.ERROR_REASON_SUITE_REFUSED, f"This runtime has no suite {state.min_suite}: update it.", suite=str(state.min_suite))


def _counting(trust: Trust) -> trust_pb2.TrustState:
    """What the next trust state must not fall below."""
    try:
        trust.root.verify(trust.state_data, trust_pb2.TrustState, 0)
    except Refused:
        return trust_pb2.TrustState(min_suite=trust.state.min_suite)
    return trust.state


def _check_validity(state: trust_pb2.TrustState, now_ms: int) -> None:
    if state.expires_at_ms - state.issued_at_ms > TRUST_VALIDITY_MS:
        raise open_failed("a trust state that is valid for more than 24 hours")
    if not 0 <= state.grace_ms <= MAX_GRACE_MS:
        raise open_failed("a trust state with a grace of more than 72 hours")
    if now_ms < state.issued_at_ms - SKEW_MS or now_ms >= state.expires_at_ms:
        raise Denial(
            reasons_pb2.ERROR_REASON_TRUST_EXPIRED,
            f"The trust state is not valid now. {clocks(now_ms, state.issued_at_ms)}",
            runtime_clock_ms=str(now_ms),
            issued_at_ms=str(state.issued_at_ms),
        )


def runs_until_ms(trust: Trust) -> int:
    """When the runtime stops running code; 0 before the first trust state."""
    return trust.state.expires_at_ms + trust.state.grace_ms


def phase_of(trust: Trust, now_ms: int) -> trust_pb2.TrustPhase.ValueType:
    state = trust.state
    if not trust.state_data:
        return trust_pb2.TRUST_PHASE_UNSPECIFIED
    if trust.identity_revoked:
        return trust_pb2.TRUST_PHASE_REVOKED
    if now_ms < state.issued_at_ms - SKEW_MS or now_ms >= runs_until_ms(trust):
        return trust_pb2.TRUST_PHASE_EXPIRED
    return trust_pb2.TRUST_PHASE_FRESH if now_ms < state.expires_at_ms else trust_pb2.TRUST_PHASE_GRACE


def check_may_run(trust: Trust, now_ms: int) -> None:
    """Raises Denial unless the trust state is fresh or in its grace, and the runtime confirmed."""
    phase = phase_of(trust, now_ms)
    if phase == trust_pb2.TRUST_PHASE_REVOKED:
        raise Denial(reasons_pb2.ERROR_REASON_RUNTIME_REVOKED, REVOKED)
    if phase not in (trust_pb2.TRUST_PHASE_FRESH, trust_pb2.TRUST_PHASE_GRACE):
        raise Denial(reasons_pb2.ERROR_REASON_TRUST_EXPIRED, "The runtime has no fresh trust state: fetch one from the platform and send it.")
    if trust.state.runtime_status != trust_pb2.RUNTIME_STATUS_CONFIRMED:
        raise Denial(
            reasons_pb2.ERROR_REASON_RUNTIME_NOT_CONFIRMED,
            "The runtime is not confirmed yet: compare its fingerprint with the one in its log, and confirm it.",
        )


def check_not_revoked(trust: Trust, *signers: frozenset[bytes]) -> None:
    """Raises Denial when a revoked key is among those that signed a document; each argument is who signed one."""
    if any(key_ids & set(trust.revoked) for key_ids in signers):
        raise open_failed("signed by a revoked key")


def told(status: Status, trust: Trust, phase: trust_pb2.TrustPhase.ValueType) -> Status:
    """What everybody may know of a paired runtime."""
    return replace(
        status,
        runtime_id=trust.grant.runtime_id,
        trust_expires_at_ms=trust.state.expires_at_ms,
        allowed_origins=tuple(trust.grant.allowed_origins),
        allowed_hosts=tuple(trust.grant.allowed_hosts),
        trust_phase=phase,
        runs_until_ms=runs_until_ms(trust),
    )


def clocks(runtime_ms: int, issued_ms: int) -> str:
    return f"The runtime's clock says {runtime_ms}, the document was issued at {issued_ms} (Unix milliseconds)."


def _rollback(document: str, why: str) -> Denial:
    return Denial(
        reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED, f"The runtime knows a newer {document}: fetch the newest and send it.", why, document=document
    )
