"""Pairing, enrolment, confirmation and trust of runtimes, over real gRPC."""

import base64
import hashlib
import json
import secrets
from typing import Any

import pytest

from spin_envelope.keys import SigningKey
from spin_envelope.root import TrustedRoot
from spin_envelope.signing import verify
from spinapis.auth.v1 import trust_pb2 as pb
from spinapis.auth.v1.sign_in_pb2 import RefreshTokensRequest
from spinapis.envelope.v1.enrol_pb2 import EnrolGrant, RuntimeConfirmation
from spinapis.envelope.v1.trust_pb2 import ROLE_AUTH, RuntimeStatus, TrustState
from tests.fakes.installation import ORIGIN, refused
from tests.fakes.paired_runtime import PairedRuntime

HOSTS = ["127.0.0.1:8888"]


async def register(auth: Any, runtime: PairedRuntime, by: Any, registration: bytes | None = None, **fields: Any) -> Any:
    values = {"workspace_id": runtime.workspace_id, "allowed_hosts": HOSTS} | fields
    request = pb.RegisterPairingRequest(registration=registration or runtime.registration(), **values)
    return await auth.enrolment.RegisterPairing(request, metadata=by.metadata)


async def enrol(auth: Any, runtime: PairedRuntime, by: Any, data: bytes | None = None, **fields: Any) -> Any:
    values = {"workspace_id": runtime.workspace_id, "runtime_id": runtime.runtime_id} | fields
    request = pb.EnrolRuntimeRequest(enrol_request=data or runtime.enrol_request(), **values)
    return await auth.enrolment.EnrolRuntime(request, metadata=by.metadata)


async def confirm(auth: Any, runtime: PairedRuntime, by: Any, fingerprint: bytes | None = None) -> Any:
    compared = fingerprint or hashlib.sha256(runtime.identity.public).digest()
    request = pb.ConfirmRuntimeRequest(workspace_id=runtime.workspace_id, runtime_id=runtime.runtime_id, fingerprint=compared)
    return await auth.enrolment.ConfirmRuntime(request, metadata=by.metadata)


async def revoke(auth: Any, runtime: PairedRuntime, by: Any) -> None:
    request = pb.RevokeRuntimeRequest(workspace_id=runtime.workspace_id, runtime_id=runtime.runtime_id)
    await auth.enrolment.RevokeRuntime(request, metadata=by.metadata)


async def trust_state(auth: Any, workspace: str, runtime: PairedRuntime, by: Any) -> TrustState:
    request = pb.GetTrustStateRequest(workspace_id=workspace, runtime_id=runtime.runtime_id)
    data = (await auth.enrolment.GetTrustState(request, metadata=by.metadata)).trust_state
    return auth.installation.keys.root().verify(data, TrustState, auth.installation.clock()).message


async def set_up(auth: Any) -> tuple[Any, str, PairedRuntime]:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    return owner, workspace, PairedRuntime(workspace, owner.id)


async def test_a_runtime_is_paired_and_confirmed(auth_on: Any) -> None:
    owner, workspace, runtime = await set_up(auth_on)
    now = auth_on.installation.clock()
    registered = await register(auth_on, runtime, owner)
    assert 0 <= registered.expires_at_ms - now - 24 * 3600 * 1000 < 10_000
    request = runtime.enrol_request()
    answer = await enrol(auth_on, runtime, owner, request)
    root = auth_on.installation.keys.root()
    grant = root.verify(answer.enrol_grant, EnrolGrant, now)
    message = grant.message
    assert (message.workspace_id.hex(), message.runtime_id.hex(), message.identity_key) == (workspace, runtime.runtime_id, runtime.identity.public)
    assert (list(message.allowed_origins), list(message.allowed_hosts), message.suite) == ([ORIGIN], HOSTS, 2)
    assert answer.fingerprint == hashlib.sha256(runtime.identity.public).digest()
    assert (await auth_on.trust(workspace, runtime.runtime_id, owner)).status == RuntimeStatus.RUNTIME_STATUS_PAIRED
    confirmation = root.verify((await confirm(auth_on, runtime, owner)).confirmation, RuntimeConfirmation, now).message
    assert (confirmation.grant_digest, confirmation.confirmed_by) == (grant.digest, owner.id)
    trust = await auth_on.trust(workspace, runtime.runtime_id, owner)
    assert trust.status == RuntimeStatus.RUNTIME_STATUS_CONFIRMED and trust.enrol_grant == answer.enrol_grant
    assert auth_on.log.types(workspace) == ["member.added", "runtime.pairing_registered", "runtime.enrolled", "runtime.confirmed"]
    body = json.loads(auth_on.log.entries[workspace][2].body_json)
    assert base64.b64decode(body["enrol_grant"]) == answer.enrol_grant


async def test_a_pairing_is_used_once(auth_on: Any) -> None:
    owner, _, runtime = await set_up(auth_on)
    await register(auth_on, runtime, owner)
    await enrol(auth_on, runtime, owner)
    thief = PairedRuntime(runtime.workspace_id, owner.id, runtime_id=runtime.runtime_id, pairing_id=runtime.pairing_id, secret=runtime.secret)
    with refused() as refusal:
        await enrol(auth_on, thief, owner)
    assert refusal.reason == "PAIRING_USED"


async def test_a_pairing_is_announced_once(auth: Any) -> None:
    owner, _, runtime = await set_up(auth)
    await register(auth, runtime, owner)
    with refused() as refusal:
        await register(auth, runtime, owner)
    assert refusal.reason == "ALREADY_EXISTS"


async def test_a_pairing_expires_after_a_day(auth: Any) -> None:
    owner, _, runtime = await set_up(auth)
    await register(auth, runtime, owner)
    auth.installation.clock.advance(24 * 3600 + 1)
    tokens = await auth.sign_in.RefreshTokens(auth_refresh(owner))
    owner.tokens = tokens.tokens
    with refused() as refusal:
        await enrol(auth, runtime, owner)
    assert refusal.reason == "PAIRING_INVALID"


def auth_refresh(person: Any) -> RefreshTokensRequest:
    return RefreshTokensRequest(refresh_token=person.tokens.refresh_token)


@pytest.mark.parametrize("signers", ["identity alone", "pairing alone", "identity twice", "another pairing key", "another identity"])
async def test_an_enrolment_without_both_signatures(auth: Any, signers: str) -> None:
    owner, _, runtime = await set_up(auth)
    await register(auth, runtime, owner)
    other = SigningKey.generate()
    keys = {
        "identity alone": (runtime.identity,),
        "pairing alone": (runtime.pairing_key(),),
        "identity twice": (runtime.identity, runtime.identity),
        "another pairing key": (runtime.identity, other),
        "another identity": (other, runtime.pairing_key()),
    }[signers]
    with refused() as refusal:
        await enrol(auth, runtime, owner, runtime.enrol_request(*keys))
    assert refusal.reason == "SIGNATURE_INVALID"
    await enrol(auth, runtime, owner)


async def test_the_pairing_key_cannot_be_the_identity(auth: Any) -> None:
    owner, _, runtime = await set_up(auth)
    await register(auth, runtime, owner)
    runtime.identity = runtime.pairing_key()
    with refused() as refusal:
        await enrol(auth, runtime, owner)
    assert refusal.reason == "SIGNATURE_INVALID"


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"short"])
async def test_an_identity_key_that_is_no_key(auth: Any, key: bytes) -> None:
    owner, _, runtime = await set_up(auth)
    await register(auth, runtime, owner)
    with refused() as refusal:
        await enrol(auth, runtime, owner, runtime.enrol_request(identity_key=key))
    assert refusal.reason == "SIGNATURE_INVALID"


@pytest.mark.parametrize("data", [b"", b"\xff", b"garbage" * 100])
async def test_rubbish_in_place_of_documents(auth: Any, data: bytes) -> None:
    owner, workspace, runtime = await set_up(auth)
    with refused() as refusal:
        request = pb.RegisterPairingRequest(workspace_id=workspace, registration=data, allowed_hosts=HOSTS)
        await auth.enrolment.RegisterPairing(request, metadata=owner.metadata)
    assert refusal.reason == "SIGNATURE_INVALID"
    with refused() as refusal:
        request = pb.EnrolRuntimeRequest(workspace_id=workspace, runtime_id=runtime.runtime_id, enrol_request=data)
        await auth.enrolment.EnrolRuntime(request, metadata=owner.metadata)
    assert refusal.reason == "SIGNATURE_INVALID"


async def test_a_pairing_for_another_workspace_person_or_runtime(auth: Any) -> None:
    owner, workspace, runtime = await set_up(auth)
    other = await auth.found(owner)
    with refused() as refusal:
        await register(auth, runtime, owner, workspace_id=other)
    assert refusal.reason == "PAIRING_INVALID"
    with refused() as refusal:
        await register(auth, runtime, owner, runtime.registration(user_id="e5" * 16))
    assert refusal.reason == "PAIRING_INVALID"
    await register(auth, runtime, owner)
    for changed in ({"workspace_id": other}, {"runtime_id": "e5" * 16}):
        with refused() as refusal:
            await enrol(auth, runtime, owner, **changed)
        assert refusal.reason == "PAIRING_INVALID"
    with refused() as refusal:
        await enrol(auth, runtime, owner, runtime.enrol_request(workspace_id=bytes.fromhex(other)))
    assert refusal.reason == "PAIRING_INVALID"
    editor = await auth.invite(workspace, owner, "editor")
    with refused() as refusal:
        await enrol(auth, runtime, editor)
    assert refusal.reason == "PAIRING_INVALID"


async def test_a_registration_that_another_key_signed(auth: Any) -> None:
    owner, _, runtime = await set_up(auth)
    with refused() as refusal:
        await register(auth, runtime, owner, runtime.registration(pairing_public_key=SigningKey.generate().public))
    assert refusal.reason == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    "fields",
    [
        {"allowed_origins": ["https://spin.example.org.evil.com"]},
        {"allowed_origins": ["null"]},
        {"allowed_origins": ["*"]},
        {"allowed_hosts": []},
        {"allowed_hosts": ["Runtime.example.org"]},
        {"allowed_hosts": ["runtime example"]},
        {"allowed_hosts": ["*"]},
        {"allowed_hosts": ["https://runtime.example.org"]},
    ],
)
async def test_origins_and_hosts_that_are_not_exact(auth: Any, fields: dict[str, Any]) -> None:
    owner, _, runtime = await set_up(auth)
    with refused() as refusal:
        await register(auth, runtime, owner, **fields)
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_suite_1_where_2_is_the_least(auth: Any) -> None:
    owner, _, runtime = await set_up(auth)
    await register(auth, runtime, owner)
    with refused() as refusal:
        await enrol(auth, runtime, owner, runtime.enrol_request(suites=[1]))
    assert refusal.reason == "SUITE_REFUSED"


async def test_who_may_pair_confirm_and_revoke(auth: Any) -> None:
    owner, workspace, _ = await set_up(auth)
    editor, agent = await auth.invite(workspace, owner, "editor"), await auth.invite(workspace, owner, "agent")
    runtime = PairedRuntime(workspace, editor.id)
    await register(auth, runtime, editor)
    await enrol(auth, runtime, editor)
    for person in (editor, agent):
        for attempt in (confirm(auth, runtime, person), revoke(auth, runtime, person)):
            with refused() as refusal:
                await attempt
            assert refusal.reason == "PERMISSION_DENIED"
    with refused() as refusal:
        await register(auth, PairedRuntime(workspace, agent.id), agent)
    assert refusal.reason == "PERMISSION_DENIED"
    await confirm(auth, runtime, owner)


async def test_another_fingerprint_confirms_nothing(auth: Any) -> None:
    owner, workspace, _ = await set_up(auth)
    runtime = await auth.enrolled(workspace, owner)
    with refused() as refusal:
        await confirm(auth, runtime, owner, secrets.token_bytes(32))
    assert refusal.reason == "INVALID_ARGUMENT"
    assert (await auth.trust(workspace, runtime.runtime_id, owner)).status == RuntimeStatus.RUNTIME_STATUS_PAIRED


async def test_a_runtime_is_not_enrolled_over_nor_after_a_revocation(auth: Any) -> None:
    owner, workspace, _ = await set_up(auth)
    runtime = await auth.confirmed(workspace, owner)
    successor = PairedRuntime(workspace, owner.id, runtime_id=runtime.runtime_id)
    with refused() as refusal:
        await register(auth, successor, owner)
    assert refusal.reason == "RUNTIME_ENROLLED"
    await revoke(auth, runtime, owner)
    await revoke(auth, runtime, owner)
    with refused() as refusal:
        await confirm(auth, runtime, owner)
    assert refusal.reason == "RUNTIME_REVOKED"
    # Otherwise the next trust states would bring the removed one to life again, where it did not hear of its removal.
    with refused() as refusal:
        await register(auth, successor, owner)
    assert refusal.reason == "RUNTIME_REVOKED"
    assert (await trust_state(auth, workspace, runtime, owner)).runtime_status == RuntimeStatus.RUNTIME_STATUS_REVOKED
    assert auth.log.types(workspace).count("runtime.revoked") == 1


async def test_nothing_is_enrolled_when_the_log_does_not_answer(auth_on: Any) -> None:
    owner, workspace, runtime = await set_up(auth_on)
    await register(auth_on, runtime, owner)
    auth_on.log.broken = True
    with refused() as refusal:
        await enrol(auth_on, runtime, owner)
    assert refusal.reason == "UNAVAILABLE"
    with refused() as refusal:
        await auth_on.trust(workspace, runtime.runtime_id, owner)
    assert refusal.reason == "NOT_FOUND"
    auth_on.log.broken = False
    await enrol(auth_on, runtime, owner)


async def test_another_workspace_sees_no_runtime(auth: Any) -> None:
    owner, workspace, _ = await set_up(auth)
    runtime = await auth.confirmed(workspace, owner)
    other = await auth.found(owner)
    for attempt in (auth.trust(other, runtime.runtime_id, owner), trust_state(auth, other, runtime, owner)):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "NOT_FOUND"


async def test_a_child_workspace_sees_its_parents_runtimes_and_no_sibling_does(auth: Any) -> None:
    owner, parent, _ = await set_up(auth)
    runtime = await auth.confirmed(parent, owner)
    child, grandchild, sibling = await auth.found(owner), await auth.found(owner), await auth.found(owner)
    auth.workspaces.parents |= {child: parent, grandchild: child}
    member = await auth.invite(grandchild, owner, "agent")
    trust = await auth.trust(grandchild, runtime.runtime_id, member)
    assert trust.status == RuntimeStatus.RUNTIME_STATUS_CONFIRMED
    auth.log.notes[grandchild] = "the note of the runtime's log"
    state = await trust_state(auth, grandchild, runtime, member)
    assert (state.workspace_id.hex(), state.checkpoint) == (parent, b"the note of the runtime's log")
    assert auth.log.checkpoints_asked == [runtime.runtime_id], "asked where the member works, for the log that holds the runtime's receipts"
    with refused() as refusal:
        await auth.trust(sibling, runtime.runtime_id, owner)
    assert refusal.reason == "NOT_FOUND"
    with refused() as refusal:
        await auth.trust(parent, runtime.runtime_id, member)
    assert refusal.reason == "NOT_FOUND"


async def test_trust_states_rise_last_a_day_and_carry_the_checkpoint(auth_on: Any) -> None:
    owner, workspace, _ = await set_up(auth_on)
    runtime = await auth_on.enrolled(workspace, owner)
    first = await trust_state(auth_on, workspace, runtime, owner)
    assert (first.version, first.runtime_status, first.min_suite, first.root_version, first.checkpoint) == (
        1,
        RuntimeStatus.RUNTIME_STATUS_PAIRED,
        2,
        1,
        b"",
    )
    assert first.expires_at_ms - first.issued_at_ms == 24 * 3600 * 1000
    await confirm(auth_on, runtime, owner)
    auth_on.log.notes[workspace] = "a signed note"
    second = await trust_state(auth_on, workspace, runtime, owner)
    assert (second.version, second.runtime_status, second.checkpoint) == (2, RuntimeStatus.RUNTIME_STATUS_CONFIRMED, b"a signed note")
    await revoke(auth_on, runtime, owner)
    assert (await trust_state(auth_on, workspace, runtime, owner)).runtime_status == RuntimeStatus.RUNTIME_STATUS_REVOKED


async def test_a_compromised_key_is_named_in_trust_states(auth: Any) -> None:
    owner, workspace, _ = await set_up(auth)
    runtime = await auth.confirmed(workspace, owner)
    old = auth.installation.keys.role_key(ROLE_AUTH).key_id
    auth.installation.keys.rotate(ROLE_AUTH, compromised=True)
    owner.tokens = (await auth.sign_in.RefreshTokens(auth_refresh(owner))).tokens
    # What the stolen key alone vouches for is worth nothing any more: pair again.
    with refused() as refusal:
        await trust_state(auth, workspace, runtime, owner)
    assert refusal.reason == "SIGNATURE_INVALID"
    successor = await auth.enrolled(workspace, owner)
    assert list((await trust_state(auth, workspace, successor, owner)).revoked_key_ids) == [old]


async def test_enrolments_outlive_the_keys_that_signed_them(auth: Any) -> None:
    owner, workspace, _ = await set_up(auth)
    runtime = await auth.confirmed(workspace, owner)
    before = await auth.trust(workspace, runtime.runtime_id, owner)
    for _ in range(3):
        auth.installation.keys.rotate(ROLE_AUTH)
    owner.tokens = (await auth.sign_in.RefreshTokens(auth_refresh(owner))).tokens
    after, root, now = await auth.trust(workspace, runtime.runtime_id, owner), auth.installation.keys.root(), auth.installation.clock()
    grant = root.verify(after.enrol_grant, EnrolGrant, now)
    confirmation = root.verify(after.confirmation, RuntimeConfirmation, now)
    assert confirmation.message.grant_digest == grant.digest
    first = TrustedRoot.pinned(auth.installation.keys.root_documents()[0], None)
    assert verify(before.enrol_grant, EnrolGrant, first.keys(ROLE_AUTH)).digest == grant.digest


async def test_root_documents_are_public_and_come_in_order(auth: Any) -> None:
    for _ in range(4):
        auth.installation.keys.rotate(ROLE_AUTH)
    documents, token = [], ""
    while True:
        page = await auth.enrolment.ListRootDocuments(pb.ListRootDocumentsRequest(page_size=2, page_token=token))
        documents += page.root_documents
        token = page.next_page_token
        if not token:
            break
    assert documents == auth.installation.keys.root_documents()
    root = TrustedRoot.pinned(documents[0], None)
    for document in documents[1:]:
        root = root.updated(document)
    assert root.version == 5
    newer = await auth.enrolment.ListRootDocuments(pb.ListRootDocumentsRequest(after_version=4))
    assert list(newer.root_documents) == documents[4:]
