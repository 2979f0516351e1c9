"""Attacks on pairing and on what a runtime trusts; named for the attack."""

import dataclasses
import os
from collections.abc import Callable

import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.pairing import SpinToken, TokenInvalid
from spin_envelope.signing import sign, unverified, verify
from spin_runtime.broker.api import BrokerError
from spin_runtime.broker.disk import DiskError
from spin_runtime.broker.local import open_broker
from spin_runtime.broker.refusals import reason_name
from spinapis.envelope.v1 import enrol_pb2, receipt_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import HOST, HOUR_MS, ORIGIN, ControlPlane


async def refused(call, reason: int) -> BrokerError:
    with pytest.raises(BrokerError) as caught:
        await call
    assert reason_name(caught.value.reason) == reason_name(reason)
    return caught.value


# The token


@pytest.mark.parametrize("token", ["", "changeme", "spin1.", "spin1.AAAA", "spin1." + "A" * 134])
def test_a_token_that_is_none(tmp_path, token: str) -> None:
    with pytest.raises(TokenInvalid) as caught:
        open_broker(tmp_path, token)
    assert not token or token == "spin1." or token not in str(caught.value)
    assert not (tmp_path / "var").exists()


def test_a_token_with_a_wrong_checksum(tmp_path, plane: ControlPlane) -> None:
    text = plane.token.text
    wrong = text[:40] + ("A" if text[40] != "A" else "B") + text[41:]
    with pytest.raises(TokenInvalid, match="checksum"):
        open_broker(tmp_path, wrong)


async def test_another_token_does_not_open_the_disk(runtime, plane: ControlPlane) -> None:
    """A stolen disk is ciphertext; and whoever lost the token is told what to do."""
    await runtime.broker.close()
    other = SpinToken.mint(plane.workspace_id, plane.token.pairing_id, os.urandom(32), plane.token.root_digest)
    with pytest.raises(DiskError, match="SPIN_TOKEN is not the one"):
        open_broker(runtime.home, other.text)
    runtime.broker = runtime.opened()


# Pairing


async def test_the_request_is_signed_by_identity_and_pairing_key(plane: ControlPlane, make_runtime) -> None:
    runtime = make_runtime(plane, image_digest=bytes(32))
    data = await runtime.broker.pairing_start()
    request = unverified(data, enrol_pb2.EnrolRequest)
    verify(data, enrol_pb2.EnrolRequest, [VerifyKey(request.identity_key), plane.token.pairing_key().verify_key], threshold=2)
    assert (request.workspace_id, request.pairing_id) == (plane.workspace_id, plane.token.pairing_id)
    assert list(request.suites) == [2, 1]
    assert request.image_digest == bytes(32)


async def test_an_honest_grant_pairs_for_good(plane: ControlPlane, make_runtime) -> None:
    runtime = make_runtime(plane)
    await runtime.pair()
    first = await runtime.broker.status()
    assert first.paired
    assert list(first.allowed_origins) == [ORIGIN]
    assert list(first.allowed_hosts) == [HOST]
    await runtime.restart()
    second = await runtime.broker.status()
    assert (second.paired, second.runtime_id, second.fingerprint) == (True, plane.runtime_id, first.fingerprint)
    assert second.boot_id != first.boot_id


async def test_a_restart_in_the_middle_of_pairing_loses_nothing(plane: ControlPlane, make_runtime) -> None:
    runtime = make_runtime(plane)
    request = await runtime.broker.pairing_start()
    await runtime.restart()
    assert await runtime.broker.pairing_start() == request
    status = await runtime.broker.pairing_finish(plane.enrol(request), plane.root_documents)
    assert status.paired


async def test_pairing_twice(runtime, plane: ControlPlane) -> None:
    await refused(runtime.broker.pairing_start(), reasons_pb2.ERROR_REASON_ALREADY_EXISTS)
    grant = plane.enrol(sign_request(plane))
    await refused(runtime.broker.pairing_finish(grant, plane.root_documents), reasons_pb2.ERROR_REASON_ALREADY_EXISTS)


def sign_request(plane: ControlPlane) -> bytes:
    """What somebody who stole the token would ask."""
    thief = SigningKey.generate()
    request = enrol_pb2.EnrolRequest(workspace_id=plane.workspace_id, pairing_id=plane.token.pairing_id, identity_key=thief.public, nonce=bytes(32))
    return sign(request, thief, plane.token.pairing_key())


async def test_a_stale_enrol_grant(plane: ControlPlane, make_runtime) -> None:
    """A grant for an earlier request with the same token, on a disk that was emptied since."""
    first, second = make_runtime(plane), make_runtime(plane)
    stale = plane.enrol(await first.broker.pairing_start())
    await second.broker.pairing_start()
    await refused(second.broker.pairing_finish(stale, plane.root_documents), reasons_pb2.ERROR_REASON_PAIRING_INVALID)
    assert not (await second.broker.status()).paired


async def test_a_grant_without_a_request(plane: ControlPlane, make_runtime) -> None:
    runtime = make_runtime(plane)
    await refused(runtime.broker.pairing_finish(plane.enrol(sign_request(plane)), plane.root_documents), reasons_pb2.ERROR_REASON_PAIRING_INVALID)


@pytest.mark.parametrize(
    "changes",
    [
        {"workspace_id": bytes(16)},
        {"identity_key": bytes(32)},
        {"nonce": bytes(32)},
        {"request_digest": bytes(32)},
        {"runtime_id": b""},
        {"suite": 0},
        {"suite": 3},
    ],
    ids=str,
)
async def test_a_grant_for_something_else(plane: ControlPlane, make_runtime, changes: dict) -> None:
    runtime = make_runtime(plane)
    grant = plane.enrol(await runtime.broker.pairing_start(), **changes)
    await refused(runtime.broker.pairing_finish(grant, plane.root_documents), reasons_pb2.ERROR_REASON_PAIRING_INVALID)


async def test_a_grant_of_another_control_plane(plane: ControlPlane, make_runtime) -> None:
    """A host in the middle with a root of its own: the token's digest does not know it."""
    other = ControlPlane(clock=plane.clock, workspace_id=plane.workspace_id)
    runtime = make_runtime(plane)
    request = await runtime.broker.pairing_start()
    await refused(runtime.broker.pairing_finish(other.enrol(request), other.root_documents), reasons_pb2.ERROR_REASON_OPEN_FAILED)
    await refused(runtime.broker.pairing_finish(other.enrol(request), plane.root_documents), reasons_pb2.ERROR_REASON_OPEN_FAILED)
    await refused(runtime.broker.pairing_finish(plane.enrol(request), []), reasons_pb2.ERROR_REASON_OPEN_FAILED)


async def test_pairing_after_the_root_was_rotated(plane: ControlPlane, make_runtime) -> None:
    plane.rotate(root=SigningKey.generate(), auth=SigningKey.generate())
    plane.rotate(auth=SigningKey.generate())
    runtime = make_runtime(plane)
    grant = plane.enrol(await runtime.broker.pairing_start())
    await refused(runtime.broker.pairing_finish(grant, plane.root_documents[:2]), reasons_pb2.ERROR_REASON_OPEN_FAILED)
    assert (await runtime.broker.pairing_finish(grant, plane.root_documents)).paired


# Root documents


async def test_a_newer_root_document_is_taken_and_kept(runtime, plane: ControlPlane) -> None:
    document = plane.rotate(auth=SigningKey.generate())
    stored = await runtime.broker.accept_trust([document], plane.trust_state())
    assert (stored.root_version, stored.trust_version) == (2, 2)
    await runtime.restart()
    assert (await runtime.broker.accept_trust(plane.root_documents, b"")).root_version == 2


async def test_a_list_that_begins_before_the_pinned_root_document(plane: ControlPlane, make_runtime) -> None:
    """Clients send every root document there is; a runtime that was paired later pinned one of the middle."""
    plane.rotate(auth=SigningKey.generate())
    older, plane.root_documents = plane.root_documents[:1], plane.root_documents[1:]
    plane.token = dataclasses.replace(plane.token, root_digest=signed_digest(plane.root_documents[0]))
    runtime = make_runtime(plane)
    await runtime.pair()
    everything = [*older, *plane.root_documents]
    assert (await runtime.broker.accept_trust(everything, plane.trust_state(root_version=2))).root_version == 2
    await refused(runtime.broker.accept_trust(older, b""), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)


async def test_root_document_n_minus_1(runtime, plane: ControlPlane) -> None:
    first, second = plane.root_documents[0], plane.rotate(auth=SigningKey.generate())
    await runtime.broker.accept_trust([second], b"")
    await refused(runtime.broker.accept_trust([first], b""), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)
    other = sign(plane.root_document(1), plane.keys[trust_pb2.ROLE_ROOT])
    await refused(runtime.broker.accept_trust([other], b""), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)


async def test_root_document_n_plus_1_signed_by_new_keys_only(runtime, plane: ControlPlane) -> None:
    new_root = SigningKey.generate()
    document = sign(plane.root_document(2, root=new_root), new_root)
    await refused(runtime.broker.accept_trust([document], b""), reasons_pb2.ERROR_REASON_OPEN_FAILED)


async def test_root_document_n_plus_1_signed_by_old_keys_only(runtime, plane: ControlPlane) -> None:
    document = sign(plane.root_document(2, root=SigningKey.generate()), plane.keys[trust_pb2.ROLE_ROOT])
    await refused(runtime.broker.accept_trust([document], b""), reasons_pb2.ERROR_REASON_OPEN_FAILED)


async def test_root_document_n_plus_2(runtime, plane: ControlPlane) -> None:
    plane.rotate(auth=SigningKey.generate())
    third = plane.rotate(auth=SigningKey.generate())
    await refused(runtime.broker.accept_trust([third], b""), reasons_pb2.ERROR_REASON_OPEN_FAILED)
    assert (await runtime.broker.accept_trust(plane.root_documents, b"")).root_version == 3


# Trust states


async def test_an_older_trust_state(runtime, plane: ControlPlane) -> None:
    older, newer = plane.trust_state(), plane.trust_state()
    await runtime.broker.accept_trust([], newer)
    await refused(runtime.broker.accept_trust([], older), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)
    await runtime.restart()
    await refused(runtime.broker.accept_trust([], older), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)
    assert (await runtime.broker.accept_trust([], newer)).trust_version == 3


async def test_another_trust_state_of_the_same_version(runtime, plane: ControlPlane) -> None:
    await refused(runtime.broker.accept_trust([], plane.trust_state(version=1, min_bundle_version=1)), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)


async def test_a_trust_state_that_lowers_a_minimum(runtime, plane: ControlPlane) -> None:
    await runtime.broker.accept_trust([], plane.trust_state(min_bundle_version=5))
    await refused(runtime.broker.accept_trust([], plane.trust_state(min_bundle_version=4)), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)
    await refused(runtime.broker.accept_trust([], plane.trust_state(min_bundle_version=5, min_suite=1)), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"runtime_id": bytes(16)}, reasons_pb2.ERROR_REASON_OPEN_FAILED),
        ({"workspace_id": bytes(16)}, reasons_pb2.ERROR_REASON_OPEN_FAILED),
        ({"root_version": 2}, reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED),
        ({"min_suite": 3}, reasons_pb2.ERROR_REASON_SUITE_REFUSED),
        ({"checkpoint": b"no note"}, reasons_pb2.ERROR_REASON_OPEN_FAILED),
    ],
    ids=str,
)
async def test_a_trust_state_for_something_else(runtime, plane: ControlPlane, changes: dict, reason: int) -> None:
    await refused(runtime.broker.accept_trust([], plane.trust_state(**changes)), reason)


async def test_a_trust_state_of_more_than_a_day(runtime, plane: ControlPlane) -> None:
    long = plane.trust_state(expires_at_ms=plane.clock() + 24 * HOUR_MS + 1)
    await refused(runtime.broker.accept_trust([], long), reasons_pb2.ERROR_REASON_OPEN_FAILED)


async def test_an_expired_trust_state(runtime, plane: ControlPlane) -> None:
    state = plane.trust_state()
    plane.clock.now_ms += 24 * HOUR_MS
    await refused(runtime.broker.accept_trust([], state), reasons_pb2.ERROR_REASON_TRUST_EXPIRED)


async def test_a_trust_state_signed_by_a_revoked_key(runtime, plane: ControlPlane) -> None:
    await runtime.broker.accept_trust([], plane.trust_state(revoked_key_ids=[plane.keys[trust_pb2.ROLE_AUTH].key_id]))
    await refused(runtime.broker.accept_trust([], plane.trust_state()), reasons_pb2.ERROR_REASON_OPEN_FAILED)


async def test_a_trust_state_signed_by_the_compiler(runtime, plane: ControlPlane) -> None:
    state = unverified(plane.trust_state(), trust_pb2.TrustState)
    await refused(runtime.broker.accept_trust([], sign(state, plane.keys[trust_pb2.ROLE_COMPILER])), reasons_pb2.ERROR_REASON_OPEN_FAILED)


# The acknowledgement of receipts


async def test_an_acknowledgement_that_contradicts_the_chain(runtime, plane: ControlPlane) -> None:
    ((seq, receipt),) = await runtime.broker.receipts_after(0, 10)
    conflicting: list[Callable[[], bytes]] = [
        lambda: plane.ack(seq, receipt, digest=bytes(32)),
        lambda: plane.ack(seq + 1, receipt),
    ]
    for ack in conflicting:
        await refused(runtime.broker.acknowledge(ack()), reasons_pb2.ERROR_REASON_RECEIPT_CONFLICT)
    assert len(await runtime.receipts()) == 1


async def test_an_acknowledgement_for_another_runtime_or_by_another_role(runtime, plane: ControlPlane) -> None:
    ((seq, receipt),) = await runtime.broker.receipts_after(0, 10)
    for ack in (
        plane.ack(seq, receipt, runtime_id=bytes(16)),
        plane.ack(seq, receipt, workspace_id=bytes(16)),
        sign(unverified(plane.ack(seq, receipt), receipt_pb2.ReceiptAck), plane.keys[trust_pb2.ROLE_AUTH]),
    ):
        await refused(runtime.broker.acknowledge(ack), reasons_pb2.ERROR_REASON_OPEN_FAILED)
    assert len(await runtime.receipts()) == 1


async def test_nothing_on_the_disk_is_readable(runtime, seat, plane: ControlPlane) -> None:
    await seat.open(seat.sealed())
    known = [plane.workspace_id, plane.runtime_id, plane.workspace_id.hex().encode(), b"python3", signed_digest(plane.root_documents[0])]
    files = [file for file in (runtime.home / "var" / "broker").iterdir() if file.is_file()]
    assert len(files) == 4
    for file in files:
        data = file.read_bytes()
        assert not any(text in data for text in known), file
        assert file.stat().st_mode & 0o077 == 0
