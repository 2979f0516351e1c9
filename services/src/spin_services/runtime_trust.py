"""What a service checks before it lets anything near a runtime. docs/protocol.md, sections 3 to 5.

Rules: pure; signatures convince, rows of a database do not; the EnrolGrant binds the identity key, the RuntimeConfirmation says that a
person compared it, the Hello proves that this runtime answered this session's Challenge.
"""

from collections.abc import Collection
from dataclasses import dataclass

from spin_envelope.errors import Refused
from spin_envelope.keys import VerifyKey
from spin_envelope.root import TrustedRoot
from spin_envelope.signing import Verified, verify
from spin_services.rpc.errors import ErrorReason, ServiceError
from spinapis.auth.v1.trust_pb2 import GetRuntimeTrustResponse
from spinapis.envelope.v1.attach_pb2 import Challenge, Hello
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant, RuntimeConfirmation
from spinapis.envelope.v1.signed_pb2 import KEY_ALGORITHM_HPKE_MLKEM768_X25519, KEY_ALGORITHM_HPKE_X25519, KeyAlgorithm
from spinapis.envelope.v1.trust_pb2 import RuntimeStatus

HELLO_LIFE_MS = 24 * 3600 * 1000
SKEW_MS = 90_000
REMEMBERED = 1024
_REMEMBERED: dict[tuple[bytes, frozenset[bytes], bytes, bytes, bytes], "tuple[Verified[Hello], Verified[Challenge]]"] = {}
_ALGORITHMS: dict[int, KeyAlgorithm.ValueType] = {1: KEY_ALGORITHM_HPKE_X25519, 2: KEY_ALGORITHM_HPKE_MLKEM768_X25519}


@dataclass(frozen=True)
class VerifiedRuntime:
    # Of the workspace that the runtime was enrolled in, which may be a parent of the session's.
    workspace_id: bytes
    runtime_id: bytes
    identity: VerifyKey
    suite: int


@dataclass(frozen=True)
class VerifiedHello:
    hello: Hello
    digest: bytes
    challenge: Challenge


def verified_runtime(
    root: TrustedRoot, trust: GetRuntimeTrustResponse, runtime_id: str, now_ms: int, revoked: Collection[bytes] = ()
) -> VerifiedRuntime:
    """Raises RUNTIME_REVOKED, RUNTIME_NOT_CONFIRMED or SIGNATURE_INVALID, and RootExpired."""
    if trust.status == RuntimeStatus.RUNTIME_STATUS_REVOKED:
        raise ServiceError(ErrorReason.ERROR_REASON_RUNTIME_REVOKED)
    if trust.status != RuntimeStatus.RUNTIME_STATUS_CONFIRMED or not trust.confirmation:
        raise ServiceError(ErrorReason.ERROR_REASON_RUNTIME_NOT_CONFIRMED)
    # Outside: a root that has expired is no fault of these documents.
    root.check_time(now_ms)
    try:
        grant = root.verify(trust.enrol_grant, EnrolGrant, now_ms, revoked)
        identity = VerifyKey(grant.message.identity_key)
    except Refused:
        raise _not_signed("EnrolGrant") from None
    try:
        confirmation = root.verify(trust.confirmation, RuntimeConfirmation, now_ms, revoked).message
    except Refused:
        raise _not_signed("RuntimeConfirmation") from None
    enrolled = grant.message
    if enrolled.runtime_id.hex() != runtime_id:
        raise _not_signed("EnrolGrant")
    said = (confirmation.workspace_id, confirmation.runtime_id, confirmation.identity_key, confirmation.grant_digest)
    if said != (enrolled.workspace_id, enrolled.runtime_id, enrolled.identity_key, grant.digest):
        raise _not_signed("RuntimeConfirmation")
    return VerifiedRuntime(enrolled.workspace_id, enrolled.runtime_id, identity, enrolled.suite)


def verify_hello(
    root: TrustedRoot,
    runtime: VerifiedRuntime,
    hello: bytes,
    challenge: bytes,
    *,
    session_id: str | None,
    user_id: str,
    now_ms: int,
    revoked: Collection[bytes] = (),
) -> VerifiedHello:
    """The Hello, if the runtime gave it to this user's session. `session_id` None leaves the session open (credentials are per runtime).

    Raises SIGNATURE_INVALID, HELLO_STALE or SUITE_REFUSED, and RootExpired.
    """
    answered, asked = _signed(root, runtime, hello, challenge, now_ms, revoked)
    _check_fields(runtime, answered.message, asked.message, asked.digest, session_id, user_id, now_ms)
    _check_suite(runtime.suite, answered.message)
    return VerifiedHello(answered.message, answered.digest, asked.message)


def _signed(
    root: TrustedRoot, runtime: VerifiedRuntime, hello: bytes, challenge: bytes, now_ms: int, revoked: Collection[bytes]
) -> tuple[Verified[Hello], Verified[Challenge]]:
    """Both documents with good signatures. A session shows the same two with each of its runs, so what verified is remembered: for exactly these
    bytes, this root document, these revoked keys and this identity. What time changes is checked each time."""
    key = (root.digest, frozenset(revoked), runtime.identity.public, hello, challenge)
    root.check_time(now_ms)
    if (known := _REMEMBERED.get(key)) is not None:
        return known
    try:
        asked = root.verify(challenge, Challenge, now_ms, revoked)
    except Refused:
        raise _not_signed("Challenge") from None
    try:
        answered = verify(hello, Hello, [runtime.identity])
    except Refused:
        raise _not_signed("Hello") from None
    if len(_REMEMBERED) >= REMEMBERED:
        _REMEMBERED.clear()
    _REMEMBERED[key] = answered, asked
    return answered, asked


def _check_fields(
    runtime: VerifiedRuntime, hello: Hello, challenge: Challenge, digest: bytes, session_id: str | None, user_id: str, now_ms: int
) -> None:
    place = (runtime.workspace_id, runtime.runtime_id)
    ours = (
        hello.challenge_digest == digest
        and (hello.workspace_id, hello.runtime_id) == place
        and (challenge.workspace_id, challenge.runtime_id) == place
        and hello.session_id == challenge.session_id
        and challenge.user_id == user_id
        and (session_id is None or hello.session_id.hex() == session_id)
        and len(hello.boot_id) == 16
    )
    age = now_ms - challenge.issued_at_ms
    if not ours or not -SKEW_MS <= age < HELLO_LIFE_MS:
        raise ServiceError(ErrorReason.ERROR_REASON_HELLO_STALE)


def _check_suite(suite: int, hello: Hello) -> None:
    if hello.boot_hpke_key.algorithm != _ALGORITHMS.get(suite):
        raise ServiceError(ErrorReason.ERROR_REASON_SUITE_REFUSED, suite=str(suite))


def _not_signed(document: str) -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID, document=document)
