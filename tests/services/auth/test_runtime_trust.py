"""What services check before they let anything near a runtime: pure, with real signatures."""

import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_envelope.digests import signed_digest
from spin_envelope.errors import RootExpired
from spin_envelope.keys import SigningKey
from spin_envelope.root import TrustedRoot, build_root_document
from spin_envelope.signing import sign
from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.runtime_trust import verified_runtime, verify_hello
from spinapis.auth.v1.trust_pb2 import GetRuntimeTrustResponse
from spinapis.envelope.v1.attach_pb2 import Challenge
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant, RuntimeConfirmation
from spinapis.envelope.v1.trust_pb2 import ROLE_AUTH, ROLE_COMPILER, ROLE_ROOT, RuntimeStatus
from tests.fakes.paired_runtime import PairedRuntime

NOW = 1_800_000_000_000
ROOT_KEY, AUTH, COMPILER = (SigningKey.generate() for _ in range(3))
ROOT = TrustedRoot.pinned(
    sign(build_root_document(1, NOW + 10**9, {ROLE_ROOT: [ROOT_KEY.public], ROLE_AUTH: [AUTH.public], ROLE_COMPILER: [COMPILER.public]}), ROOT_KEY),
    None,
)
RUNTIME = PairedRuntime("a1" * 16, "b2" * 16)


def grant(**changes: Any) -> EnrolGrant:
    usual = {"workspace_id": bytes.fromhex(RUNTIME.workspace_id), "runtime_id": bytes.fromhex(RUNTIME.runtime_id)}
    return EnrolGrant(**(usual | {"identity_key": RUNTIME.identity.public, "suite": 2} | changes))


def trust(key: SigningKey = AUTH, confirmed_by: SigningKey = AUTH, of: EnrolGrant | None = None, **changes: Any) -> GetRuntimeTrustResponse:
    enrolled = of or grant()
    data = sign(enrolled, key)
    usual = {"workspace_id": enrolled.workspace_id, "runtime_id": enrolled.runtime_id, "identity_key": enrolled.identity_key}
    confirmation = RuntimeConfirmation(**(usual | {"grant_digest": signed_digest(data), "confirmed_by": "ada"} | changes))
    status = RuntimeStatus.RUNTIME_STATUS_CONFIRMED
    return GetRuntimeTrustResponse(status=status, enrol_grant=data, confirmation=sign(confirmation, confirmed_by))


def refusal(answer: GetRuntimeTrustResponse, runtime_id: str = RUNTIME.runtime_id, **more: Any) -> str:
    with pytest.raises(ServiceError) as caught:
        verified_runtime(ROOT, answer, runtime_id, NOW, **more)
    return ErrorReason.Name(caught.value.reason).removeprefix("ERROR_REASON_")


def test_a_confirmed_runtime() -> None:
    found = verified_runtime(ROOT, trust(), RUNTIME.runtime_id, NOW)
    assert (found.workspace_id.hex(), found.identity.public, found.suite) == (RUNTIME.workspace_id, RUNTIME.identity.public, 2)


def test_a_database_row_without_signatures_convinces_nobody() -> None:
    assert refusal(trust(key=SigningKey.generate())) == "SIGNATURE_INVALID"
    assert refusal(trust(key=COMPILER)) == "SIGNATURE_INVALID"
    assert refusal(trust(confirmed_by=SigningKey.generate())) == "SIGNATURE_INVALID"
    assert refusal(trust(), revoked={AUTH.key_id}) == "SIGNATURE_INVALID"


def test_status_revoked_or_unconfirmed() -> None:
    answer = trust()
    answer.status = RuntimeStatus.RUNTIME_STATUS_REVOKED
    assert refusal(answer) == "RUNTIME_REVOKED"
    answer.status = RuntimeStatus.RUNTIME_STATUS_PAIRED
    assert refusal(answer) == "RUNTIME_NOT_CONFIRMED"
    answer.status = RuntimeStatus.RUNTIME_STATUS_CONFIRMED
    answer.confirmation = b""
    assert refusal(answer) == "RUNTIME_NOT_CONFIRMED"


@pytest.mark.parametrize("change", [{"workspace_id": bytes(16)}, {"runtime_id": bytes(16)}, {"identity_key": bytes(32)}, {"grant_digest": bytes(32)}])
def test_a_confirmation_of_something_else(change: dict[str, bytes]) -> None:
    assert refusal(trust(**change)) == "SIGNATURE_INVALID"


def test_a_confirmation_of_an_earlier_enrolment() -> None:
    earlier, later = trust(), trust(of=grant(identity_key=SigningKey.generate().public))
    later.confirmation = earlier.confirmation
    assert refusal(later) == "SIGNATURE_INVALID"


def test_documents_of_another_runtime() -> None:
    assert refusal(trust(), runtime_id="e5" * 16) == "SIGNATURE_INVALID"


def test_an_identity_key_of_low_order() -> None:
    assert refusal(trust(of=grant(identity_key=bytes(32)))) == "SIGNATURE_INVALID"


def test_an_expired_root_is_told_as_that_and_not_as_a_bad_signature() -> None:
    session, late = secrets.token_hex(16), NOW + 2 * 10**9
    challenge = sign(Challenge(issued_at_ms=late, session_id=bytes.fromhex(session), user_id="u"), AUTH)
    runtime, hello = verified_runtime(ROOT, trust(), RUNTIME.runtime_id, NOW), RUNTIME.hello(challenge, session)
    with pytest.raises(RootExpired):
        verified_runtime(ROOT, trust(), RUNTIME.runtime_id, late)
    with pytest.raises(RootExpired):
        verify_hello(ROOT, runtime, hello, challenge, session_id=session, user_id="u", now_ms=late)


def test_a_challenge_from_the_future_is_not_believed() -> None:
    session = secrets.token_hex(16)
    place = {"workspace_id": bytes.fromhex(RUNTIME.workspace_id), "runtime_id": bytes.fromhex(RUNTIME.runtime_id)}
    challenge = sign(Challenge(**place, issued_at_ms=NOW + 91_000, session_id=bytes.fromhex(session), user_id="u"), AUTH)
    runtime, hello = verified_runtime(ROOT, trust(), RUNTIME.runtime_id, NOW), RUNTIME.hello(challenge, session)
    with pytest.raises(ServiceError, match="HELLO_STALE"):
        verify_hello(ROOT, runtime, hello, challenge, session_id=session, user_id="u", now_ms=NOW)
    found = verify_hello(ROOT, runtime, hello, challenge, session_id=None, user_id="u", now_ms=NOW + 91_000)
    assert found.digest == signed_digest(hello)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_are_refused_and_nothing_else_happens(first: bytes, second: bytes) -> None:
    answer = GetRuntimeTrustResponse(status=RuntimeStatus.RUNTIME_STATUS_CONFIRMED, enrol_grant=first, confirmation=second or b"x")
    assert refusal(answer) == "SIGNATURE_INVALID"
