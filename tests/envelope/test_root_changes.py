"""What people are shown before they sign a root document: all that changes, against what, and whose signatures are missing."""

import pytest

from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.root import Proposal, TrustedRoot, build_root_document
from spin_envelope.root_changes import role_name, standing
from spin_envelope.signing import countersigned, sign
from spinapis.envelope.v1.trust_pb2 import ROLE_AUDIT, ROLE_AUTH, ROLE_COMPILER, ROLE_ROOT, RootDocument

ANN, BEN, CY = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()
LATER = 2000


@pytest.fixture
def current(auth: SigningKey, compiler: SigningKey) -> TrustedRoot:
    roles = {ROLE_ROOT: [ANN.public, BEN.public], ROLE_AUTH: [auth.public], ROLE_COMPILER: [compiler.public]}
    return TrustedRoot.pinned(sign(build_root_document(1, LATER, roles, threshold=2), ANN, BEN), None)


def text(key: SigningKey) -> str:
    return key.key_id.hex()


def test_each_change_is_named_with_its_key(current: TrustedRoot, auth: SigningKey) -> None:
    fresh, audit = SigningKey.generate(), SigningKey.generate()
    roles = {ROLE_ROOT: [ANN.public, CY.public], ROLE_AUTH: [fresh.public, auth.public], ROLE_AUDIT: [audit.public]}
    found = standing(current, Proposal.of(sign(build_root_document(2, LATER, roles), ANN)))
    assert set(found.changes) == {
        "root threshold: 2 becomes 1",
        f"root: {text(CY)} is added",
        f"root: {text(BEN)} is removed",
        f"auth: {text(fresh)} is added",
        f"auth: signs with {text(fresh)} from now on",
        f"audit: {text(audit)} is added",
        f"compiler: {current.keys(ROLE_COMPILER)[0].key_id.hex()} is removed",
    }


def test_who_will_be_root_is_shown_also_where_nothing_changes(current: TrustedRoot, auth: SigningKey, compiler: SigningKey) -> None:
    roles = {ROLE_ROOT: [ANN.public, BEN.public], ROLE_AUTH: [auth.public], ROLE_COMPILER: [compiler.public]}
    found = standing(current, Proposal.of(sign(build_root_document(2, LATER, roles, threshold=2), ANN)))
    assert found.changes == []
    assert found.basis == [f"follows root document 1 with the digest {current.digest.hex()}", f"root: 2 of 2: {text(ANN)}, {text(BEN)}"]


def test_both_generations_must_have_signed(current: TrustedRoot, auth: SigningKey) -> None:
    data = sign(build_root_document(2, LATER, {ROLE_ROOT: [CY.public], ROLE_AUTH: [auth.public]}), ANN)
    for signer, complete in ((BEN, False), (CY, True)):
        found = standing(current, Proposal.of(data))
        assert (found.complete, signer.key_id in found.old.awaited | found.new.awaited) == (False, True)
        data = countersigned(data, RootDocument, signer)
        assert standing(current, Proposal.of(data)).complete == complete


@pytest.mark.parametrize("version", [1, 3])
def test_a_proposal_that_does_not_follow(current: TrustedRoot, version: int) -> None:
    with pytest.raises(Refused):
        standing(current, Proposal.of(sign(build_root_document(version, LATER, {ROLE_ROOT: [ANN.public]}), ANN)))


def test_a_roles_name_is_the_services() -> None:
    assert role_name(ROLE_COMPILER) == "compiler"
