"""RootDocument: how the keys of every role are trusted, and change."""

from typing import Any

import pytest

from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.root import Proposal, TrustedRoot, build_root_document
from spin_envelope.signing import countersigned, sign
from spinapis.envelope.v1.attach_pb2 import Challenge, Hello
from spinapis.envelope.v1.run_pb2 import Program
from spinapis.envelope.v1.trust_pb2 import ROLE_AUTH, ROLE_COMPILER, ROLE_ROOT, ROLE_WORKSPACE, RootDocument

NOW, LATER = 1000, 2000


def walked(case: Any) -> TrustedRoot:
    documents = [bytes.fromhex(data) for data in case["documents"]]
    times = [0] * (len(documents) - 1) + [case["now_ms"]]
    root = TrustedRoot.pinned(documents[0], bytes.fromhex(case["digest"]), times[0])
    for data, now_ms in zip(documents[1:], times[1:], strict=True):
        root = root.updated(data, now_ms)
    return root


@pytest.mark.vectors("roots", "accepted")
def test_accepted(case: Any) -> None:
    root = walked(case)
    assert root.version == case["version"]
    assert root.digest.hex() == case["last_digest"]
    assert root.data.hex() == case["documents"][-1]
    assert [key.key_id.hex() for key in root.keys(ROLE_AUTH)] == case["auth_key_ids"]


@pytest.mark.vectors("roots", "refused")
def test_refused(case: Any) -> None:
    with pytest.raises(Refused):
        walked(case)


@pytest.fixture
def root(auth: SigningKey, compiler: SigningKey) -> TrustedRoot:
    key = SigningKey.generate()
    document = build_root_document(1, LATER, {ROLE_ROOT: [key.public], ROLE_AUTH: [auth.public], ROLE_COMPILER: [compiler.public]})
    return TrustedRoot.pinned(sign(document, key), None, NOW)


def test_a_role_signs_its_own_payloads_alone(root: TrustedRoot, auth: SigningKey, compiler: SigningKey) -> None:
    assert root.verify(sign(Program(code="1"), compiler), Program, NOW).message.code == "1"
    assert root.verify(sign(Challenge(), auth), Challenge, NOW).key_ids == {auth.key_id}
    for data, cls in ((sign(Program(), auth), Program), (sign(Challenge(), compiler), Challenge)):
        with pytest.raises(Refused):
            root.verify(data, cls, NOW)


def test_a_revoked_key_signs_nothing(root: TrustedRoot, compiler: SigningKey) -> None:
    with pytest.raises(Refused):
        root.verify(sign(Program(), compiler), Program, NOW, revoked={compiler.key_id})


def test_an_expired_document_verifies_nothing(root: TrustedRoot, compiler: SigningKey) -> None:
    program = sign(Program(), compiler)
    assert root.verify(program, Program, LATER - 1)
    with pytest.raises(Refused):
        root.verify(program, Program, LATER)


def test_a_runtimes_identity_is_not_bound_by_the_root(root: TrustedRoot, auth: SigningKey) -> None:
    with pytest.raises(Refused):
        root.verify(sign(Hello(), auth), Hello, NOW)


def test_a_role_that_is_not_listed_has_no_keys(root: TrustedRoot) -> None:
    with pytest.raises(Refused):
        root.keys(ROLE_WORKSPACE)


def test_a_document_that_makes_no_sense_is_not_built(auth: SigningKey) -> None:
    with pytest.raises(Refused):
        build_root_document(1, LATER, {ROLE_ROOT: [auth.public], ROLE_AUTH: [auth.public]})
    with pytest.raises(Refused):
        build_root_document(1, LATER, {ROLE_ROOT: [auth.public]}, threshold=2)


def test_signatures_are_gathered_one_by_one_until_both_generations_agree() -> None:
    old, first, second, third = (SigningKey.generate() for _ in range(4))
    root = TrustedRoot.pinned(sign(build_root_document(1, LATER, {ROLE_ROOT: [old.public]}), old), None)
    new = [key.public for key in (first, second, third)]
    data = sign(build_root_document(2, LATER, {ROLE_ROOT: new}, threshold=2))
    for key, complete in ((old, False), (first, False), (third, True)):
        with pytest.raises(Refused):
            root.updated(data)
        data = countersigned(data, RootDocument, key)
        proposal = Proposal.of(data)
        assert proposal.quorum(root.keys(ROLE_ROOT), root.threshold(ROLE_ROOT)).complete
        ours = proposal.quorum(proposal.keys(ROLE_ROOT), proposal.threshold)
        assert ours.complete is complete
    assert ours.signed == {first.key_id, third.key_id}
    assert ours.awaited == {second.key_id}
    assert proposal.keys(ROLE_AUTH) == []
    assert root.updated(data).threshold(ROLE_ROOT) == 2


def test_a_signature_more_changes_no_digest_and_counts_once() -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    data = sign(build_root_document(1, LATER, {ROLE_ROOT: [key.public, other.public]}, threshold=2), key)
    again = countersigned(data, RootDocument, key)
    assert again == data
    with pytest.raises(Refused):
        TrustedRoot.pinned(again, None)
    assert TrustedRoot.pinned(countersigned(data, RootDocument, other), None).version == 1


def test_signatures_are_bounded() -> None:
    key = SigningKey.generate()
    data = sign(build_root_document(1, LATER, {ROLE_ROOT: [key.public]}), key)
    with pytest.raises(Refused):
        countersigned(data, RootDocument, *(SigningKey.generate() for _ in range(16)))


def test_a_proposal_must_have_the_form_of_a_root_document() -> None:
    with pytest.raises(Refused):
        Proposal.of(sign(RootDocument(version=2)))
