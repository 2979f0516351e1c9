"""The signed documents of enrolment and attachment that clients are tested with say what this package would verify."""

from collections.abc import Callable
from typing import Any

from spin_envelope.digests import fingerprint, signed_digest
from spin_envelope.keys import VerifyKey
from spin_envelope.root import TrustedRoot
from spin_envelope.signing import verify
from spinapis.envelope.v1.attach_pb2 import Challenge, Hello
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant, RuntimeConfirmation


def test_each_document_names_the_one_before(vectors_of: Callable[..., Any]) -> None:
    case = vectors_of("attach")
    now, root = case["now_ms"], TrustedRoot.pinned(bytes.fromhex(case["root"]), None, case["now_ms"])
    enrolment, (hello,) = case["enrolment"]["accepted"][0], case["hello"]["accepted"]
    grant = root.verify(bytes.fromhex(enrolment["enrol_grant"]), EnrolGrant, now)
    confirmation = root.verify(bytes.fromhex(enrolment["confirmation"]), RuntimeConfirmation, now).message
    identity = VerifyKey(grant.message.identity_key)
    assert confirmation.grant_digest == grant.digest
    assert fingerprint(identity.public) == case["fingerprint"]
    said = verify(bytes.fromhex(hello["hello"]), Hello, [identity]).message
    assert said.challenge_digest == signed_digest(bytes.fromhex(case["challenge"]))
    assert root.verify(bytes.fromhex(case["challenge"]), Challenge, now).message.session_id == said.session_id
