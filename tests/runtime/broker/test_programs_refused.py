"""Attacks with programs: each is what a hostile browser, network or neighbour would hand in. Named for the attack."""

from dataclasses import replace

import pytest

from spin_envelope.keys import SigningKey
from spin_envelope.payloads import payload_type
from spin_envelope.sealing import RecipientKey, Suite
from spin_envelope.signing import sign
from spin_runtime.broker.admission import Policy
from spin_runtime.broker.api import BrokerError, Rejected, Run
from spin_runtime.broker.refusals import OPEN_FAILED_TEXT, Denial, reason_name
from spin_runtime.broker.trust import check_not_revoked
from spinapis.envelope.v1 import attach_pb2, receipt_pb2, run_pb2, signed_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import HOUR_MS, MINUTE_MS, Client, ControlPlane, use


async def refused(seat, sealed: bytes) -> BrokerError:
    """The message is not even authentic: one text, and no program is named in any receipt."""
    with pytest.raises(BrokerError) as caught:
        await seat.open(sealed)
    assert caught.value.reason == reasons_pb2.ERROR_REASON_OPEN_FAILED
    assert caught.value.text == OPEN_FAILED_TEXT
    assert not any(receipt.program_digest for receipt in await seat.runtime.receipts())
    return caught.value


async def rejected(seat, sealed: bytes, reason: int) -> Rejected:
    """The program is authentic and may not run: the reason is told, and stands in a receipt."""
    answer = await seat.open(sealed)
    assert isinstance(answer, Rejected), answer
    assert reason_name(answer.reason) == reason_name(reason)
    last = (await seat.runtime.receipts())[-1]
    assert last.type == receipt_pb2.RECEIPT_TYPE_REJECT
    assert last.reason == reason_name(reason)
    assert last.nonce == answer.nonce
    assert last.ciphertext_digest == answer.ciphertext_digest
    assert last.program_digest
    return answer


async def test_an_honest_program_runs(seat) -> None:
    run = await seat.open(seat.sealed(code="print(1)"))
    assert isinstance(run, Run)
    assert run.code == "print(1)"
    assert len(run.ticket) == 32


async def test_replay_in_the_same_boot(seat) -> None:
    sealed = seat.sealed()
    assert isinstance(await seat.open(sealed), Run)
    await rejected(seat, sealed, reasons_pb2.ERROR_REASON_REPLAY_REFUSED)


async def test_replay_sealed_anew_in_the_same_boot(seat, plane: ControlPlane) -> None:
    program = plane.program(seat.grant())
    assert isinstance(await seat.open(plane.seal(program, seat.hello)), Run)
    await rejected(seat, plane.seal(program, seat.hello), reasons_pb2.ERROR_REASON_REPLAY_REFUSED)


async def test_replay_after_a_restart(seat) -> None:
    sealed = seat.sealed()
    await seat.runtime.restart()
    _, attachment = await seat.runtime.attach(seat.client)
    seat.handle = attachment.handle
    await seat.runtime.broker.kernel_started(seat.handle, "python3")
    await refused(seat, sealed)


async def test_replay_after_a_restart_with_the_header_rewritten(seat) -> None:
    """The boot id is bound into the encryption, and the key that it was sealed to is gone."""
    sealed = signed_pb2.Sealed.FromString(seat.sealed())
    await seat.runtime.restart()
    hello, attachment = await seat.runtime.attach(seat.client)
    seat.handle = attachment.handle
    header = signed_pb2.SealedHeader.FromString(sealed.header)
    header.boot_id = hello.boot_id
    await refused(seat, signed_pb2.Sealed(header=header.SerializeToString(), ciphertext=sealed.ciphertext).SerializeToString())


async def test_order_7_then_6(seat) -> None:
    nonces = [run_pb2.RunNonce(boot_id=seat.hello.boot_id, kernel_epoch=seat.kernel.kernel_epoch, seq=seq) for seq in (7, 6)]
    seventh, sixth = (seat.sealed(seat.grant(nonce=nonce)) for nonce in nonces)
    assert isinstance(await seat.open(seventh), Run)
    await rejected(seat, sixth, reasons_pb2.ERROR_REASON_REPLAY_REFUSED)


async def test_seq_of_zero(seat) -> None:
    nonce = run_pb2.RunNonce(boot_id=seat.hello.boot_id, kernel_epoch=seat.kernel.kernel_epoch)
    await rejected(seat, seat.sealed(seat.grant(nonce=nonce)), reasons_pb2.ERROR_REASON_REPLAY_REFUSED)


async def test_a_refused_program_cannot_be_handed_in_again(seat) -> None:
    """The seq is taken before bundle and policy are looked at, and stays taken."""
    sealed = seat.sealed(min_bundle_version=3)
    await rejected(seat, sealed, reasons_pb2.ERROR_REASON_BUNDLE_STALE)
    await seat.give_bundle(3)
    await rejected(seat, sealed, reasons_pb2.ERROR_REASON_REPLAY_REFUSED)


async def test_payload_for_runtime_a_given_to_b(seat, take_seat, make_runtime, plane: ControlPlane) -> None:
    other_plane = ControlPlane(clock=plane.clock, workspace_id=plane.workspace_id, keys=plane.keys)
    other = make_runtime(other_plane)
    await other.pair()
    await other.broker.accept_trust([], other_plane.trust_state())
    other_seat = await take_seat(other, seat.client)
    await refused(other_seat, seat.sealed())
    # Sealed to B's key, by somebody who holds A's signed program: the signed ids give it away.
    program = plane.program(seat.grant(nonce=run_pb2.RunNonce(boot_id=other_seat.hello.boot_id, kernel_epoch=1, seq=1)))
    await rejected(other_seat, plane.seal(program, other_seat.hello), reasons_pb2.ERROR_REASON_GRANT_MISMATCH)


async def test_payload_of_workspace_a_given_to_b(seat, take_seat, make_runtime, plane: ControlPlane) -> None:
    other_plane = ControlPlane(clock=plane.clock, keys=plane.keys)
    other = make_runtime(other_plane)
    await other.pair()
    await other.broker.accept_trust([], other_plane.trust_state())
    other_seat = await take_seat(other, seat.client)
    await refused(other_seat, seat.sealed())
    grant = seat.grant(nonce=run_pb2.RunNonce(boot_id=other_seat.hello.boot_id, kernel_epoch=1, seq=1), runtime_id=other_plane.runtime_id)
    program = plane.program(grant)
    await rejected(other_seat, plane.seal(program, other_seat.hello), reasons_pb2.ERROR_REASON_GRANT_MISMATCH)


@pytest.mark.parametrize(
    "changes",
    [
        {"source_digest": bytes(32)},
        {"user_id": "user-b"},
        {"session_id": bytes(16)},
        {"notebook_id": bytes(16)},
        {"cell_id": "cell-2"},
        {"workspace_id": bytes(16)},
        {"runtime_id": bytes(16)},
        {"connections": [use(bytes(16), "rest.request")]},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_valid_grant_with_another(seat, changes: dict) -> None:
    await rejected(seat, seat.sealed(**changes), reasons_pb2.ERROR_REASON_GRANT_MISMATCH)


async def test_a_valid_grant_with_another_nonce(seat) -> None:
    grant = seat.grant()
    nonce = run_pb2.RunNonce(boot_id=grant.nonce.boot_id, kernel_epoch=grant.nonce.kernel_epoch, seq=grant.nonce.seq + 1)
    await rejected(seat, seat.sealed(grant, nonce=nonce), reasons_pb2.ERROR_REASON_GRANT_MISMATCH)


async def test_another_users_grant(seat) -> None:
    await rejected(seat, seat.sealed(seat.grant(user_id="user-b"), user_id=seat.client.user_id), reasons_pb2.ERROR_REASON_GRANT_MISMATCH)


async def test_a_new_program_under_a_grant_that_is_over_or_to_come(seat, plane: ControlPlane) -> None:
    """What the compiler's key alone can make: it needs a live grant."""
    now = plane.clock()
    for minutes in (-10, 5):
        grant = seat.grant(issued_at_ms=now + minutes * MINUTE_MS, expires_at_ms=now + (minutes + 5) * MINUTE_MS)
        await rejected(seat, seat.sealed(grant), reasons_pb2.ERROR_REASON_TIME_REFUSED)


async def test_a_program_of_an_earlier_boot_sealed_to_this_one(seat) -> None:
    nonce = run_pb2.RunNonce(boot_id=bytes(16), kernel_epoch=seat.kernel.kernel_epoch, seq=1)
    await rejected(seat, seat.sealed(seat.grant(nonce=nonce)), reasons_pb2.ERROR_REASON_KERNEL_EPOCH_STALE)


async def test_a_bundle_signed_by_a_revoked_key(seat, plane: ControlPlane) -> None:
    revoked = [plane.keys[trust_pb2.ROLE_SECRETS].key_id]
    await seat.runtime.broker.accept_trust([], plane.trust_state(revoked_key_ids=revoked))
    await refused(seat, plane.seal_bundle(plane.bundle(1), seat.hello))


async def test_a_program_carried_by_another_user(seat) -> None:
    _, other = await seat.runtime.attach(replace(seat.client, user_id="user-b"))
    answer = await seat.runtime.broker.open_sealed(seat.sealed(), other.handle)
    assert isinstance(answer, Rejected)
    assert answer.reason == reasons_pb2.ERROR_REASON_GRANT_MISMATCH


async def test_a_program_for_another_sessions_kernel(seat, take_seat) -> None:
    other = await take_seat(seat.runtime, Client())
    nonce = run_pb2.RunNonce(boot_id=seat.hello.boot_id, kernel_epoch=other.kernel.kernel_epoch, seq=1)
    await rejected(seat, seat.sealed(seat.grant(nonce=nonce)), reasons_pb2.ERROR_REASON_KERNEL_EPOCH_STALE)


async def test_a_program_for_a_kernel_that_has_ended(seat) -> None:
    sealed = seat.sealed()
    await seat.runtime.broker.kernel_ended(seat.kernel.kernel_epoch, "restarted")
    await seat.runtime.broker.kernel_started(seat.handle, "python3")
    await rejected(seat, sealed, reasons_pb2.ERROR_REASON_KERNEL_EPOCH_STALE)


async def test_a_program_without_a_grant(seat) -> None:
    await rejected(seat, seat.sealed(signed_grant=b""), reasons_pb2.ERROR_REASON_OPEN_FAILED)


async def test_a_grant_signed_by_the_compiler(seat, plane: ControlPlane) -> None:
    grant = seat.grant()
    forged = sign(grant, plane.keys[trust_pb2.ROLE_COMPILER])
    await rejected(seat, seat.sealed(grant, signed_grant=forged), reasons_pb2.ERROR_REASON_OPEN_FAILED)


async def test_a_program_signed_by_auth(seat, plane: ControlPlane) -> None:
    program = run_pb2.Program.FromString(signed_pb2.SignedMessage.FromString(plane.program(seat.grant())).payload)
    await refused(seat, plane.seal(sign(program, plane.keys[trust_pb2.ROLE_AUTH]), seat.hello))
    # It opened, so somebody went to some length: the receipt names the ciphertext and nothing that was inside.
    last = (await seat.runtime.receipts())[-1]
    assert (last.type, last.reason) == (receipt_pb2.RECEIPT_TYPE_REJECT, "ERROR_REASON_OPEN_FAILED")
    assert last.ciphertext_digest
    assert not last.session_id


async def test_a_credential_bundle_sent_as_a_program(seat, plane: ControlPlane) -> None:
    bundle = signed_pb2.SignedMessage.FromString(plane.bundle(1))
    bundle.payload_type = payload_type(run_pb2.Program)
    await refused(seat, plane.seal(bundle.SerializeToString(), seat.hello))


async def test_a_program_sent_as_a_credential_bundle(seat, plane: ControlPlane) -> None:
    program = signed_pb2.SignedMessage.FromString(plane.program(seat.grant()))
    program.payload_type = payload_type(run_pb2.CredentialBundle)
    await refused(seat, plane.seal_bundle(program.SerializeToString(), seat.hello))


async def test_a_capability_sent_as_a_program(seat, plane: ControlPlane) -> None:
    content_type = payload_type(attach_pb2.CapabilityToken)
    await refused(seat, plane.seal(plane.capability(seat.client), seat.hello, content_type=content_type))


async def test_every_flipped_bit_of_the_header(seat) -> None:
    sealed = signed_pb2.Sealed.FromString(seat.sealed())
    for at in range(len(sealed.header)):
        header = bytearray(sealed.header)
        header[at] ^= 1
        await refused(seat, signed_pb2.Sealed(header=bytes(header), ciphertext=sealed.ciphertext).SerializeToString())


@pytest.mark.parametrize("keep", [0, 1, 32, 1120, -1])
async def test_a_truncated_or_empty_ciphertext(seat, keep: int) -> None:
    sealed = signed_pb2.Sealed.FromString(seat.sealed())
    await refused(seat, signed_pb2.Sealed(header=sealed.header, ciphertext=sealed.ciphertext[:keep]).SerializeToString())


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 100, b"\n\x03abc"])
async def test_bytes_that_are_no_message(seat, data: bytes) -> None:
    await refused(seat, data)


async def test_more_than_four_megabytes(seat) -> None:
    await refused(seat, bytes(4 * 1024 * 1024 + 1))


async def test_suite_1_where_2_is_pinned(seat, plane: ControlPlane) -> None:
    key = RecipientKey.generate(Suite(1))
    await refused(seat, plane.seal(plane.program(seat.grant()), seat.hello, recipient=key.public))


async def test_the_suite_named_in_the_header_lowered(seat) -> None:
    sealed = signed_pb2.Sealed.FromString(seat.sealed())
    header = signed_pb2.SealedHeader.FromString(sealed.header)
    header.suite = 1
    await refused(seat, signed_pb2.Sealed(header=header.SerializeToString(), ciphertext=sealed.ciphertext).SerializeToString())


@pytest.mark.parametrize("off_ms", [-HOUR_MS, HOUR_MS])
async def test_a_clock_an_hour_off(seat, plane: ControlPlane, off_ms: int) -> None:
    """Both clocks are told, so that a person sees which one is wrong."""
    sealed, issued = seat.sealed(), plane.clock()
    if off_ms < 0:
        await seat.runtime.broker.accept_trust([], plane.trust_state(issued_at_ms=plane.clock() - 2 * HOUR_MS, expires_at_ms=plane.clock() + HOUR_MS))
    plane.clock.now_ms += off_ms
    answer = await rejected(seat, sealed, reasons_pb2.ERROR_REASON_TIME_REFUSED)
    assert str(plane.clock()) in answer.text
    assert str(issued) in answer.text


async def test_a_skew_of_ninety_seconds_is_borne(seat, plane: ControlPlane) -> None:
    early = seat.sealed()
    plane.clock.now_ms -= 90_000
    assert isinstance(await seat.open(early), Run)


@pytest.mark.parametrize("field", ["program", "grant"])
async def test_validity_of_a_day(seat, plane: ControlPlane, field: str) -> None:
    day = plane.clock() + 24 * HOUR_MS
    sealed = seat.sealed(expires_at_ms=day) if field == "program" else seat.sealed(seat.grant(expires_at_ms=day))
    await rejected(seat, sealed, reasons_pb2.ERROR_REASON_TIME_REFUSED)


async def test_trust_state_withheld_for_25_hours(seat, plane: ControlPlane) -> None:
    plane.clock.now_ms += 25 * HOUR_MS
    await seat.attach_again()
    await rejected(seat, seat.sealed(), reasons_pb2.ERROR_REASON_TRUST_EXPIRED)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (trust_pb2.RUNTIME_STATUS_PAIRED, reasons_pb2.ERROR_REASON_RUNTIME_NOT_CONFIRMED),
        (trust_pb2.RUNTIME_STATUS_UNSPECIFIED, reasons_pb2.ERROR_REASON_RUNTIME_NOT_CONFIRMED),
        (trust_pb2.RUNTIME_STATUS_REVOKED, reasons_pb2.ERROR_REASON_RUNTIME_REVOKED),
    ],
)
async def test_a_runtime_that_is_not_confirmed(seat, plane: ControlPlane, status: int, reason: int) -> None:
    await seat.runtime.broker.accept_trust([], plane.trust_state(runtime_status=status))
    await rejected(seat, seat.sealed(), reason)


@pytest.mark.parametrize("role", [trust_pb2.ROLE_COMPILER, trust_pb2.ROLE_AUTH])
async def test_a_revoked_key(seat, plane: ControlPlane, role: int) -> None:
    await seat.runtime.broker.accept_trust([], plane.trust_state(revoked_key_ids=[plane.keys[role].key_id]))
    await rejected(seat, seat.sealed(), reasons_pb2.ERROR_REASON_OPEN_FAILED)


async def test_a_revoked_key_beside_a_live_one(seat, plane: ControlPlane) -> None:
    """As a role with a threshold of two would have it: a stolen key counts for nothing, whoever signed beside it."""
    stolen, live = plane.keys[trust_pb2.ROLE_AUTH].key_id, SigningKey.generate().key_id
    await seat.runtime.broker.accept_trust([], plane.trust_state(revoked_key_ids=[stolen]))
    trust = seat.runtime.broker._trust
    check_not_revoked(trust, frozenset({live}))
    with pytest.raises(Denial):
        check_not_revoked(trust, frozenset({live}), frozenset({stolen, live}))


async def test_a_key_that_the_root_has_rotated_out(seat, plane: ControlPlane) -> None:
    sealed = seat.sealed()
    await seat.runtime.broker.accept_trust([plane.rotate(compiler=SigningKey.generate())], b"")
    await refused(seat, sealed)


async def test_a_viewer_hands_in_a_program(seat) -> None:
    _, viewer = await seat.runtime.attach(seat.client, scopes=[attach_pb2.SCOPE_VIEW])
    broker = seat.runtime.broker
    for call in (broker.open_sealed(seat.sealed(), viewer.handle), broker.kernel_started(viewer.handle, "python3")):
        with pytest.raises(BrokerError) as caught:
            await call
        assert caught.value.reason == reasons_pb2.ERROR_REASON_SCOPE_MISSING


async def test_the_runtimes_own_policy(plane: ControlPlane, make_runtime, take_seat) -> None:
    runtime = make_runtime(plane, policy=Policy(cell_types=frozenset({"sql"}), connections=False))
    await runtime.pair()
    await runtime.broker.accept_trust([], plane.trust_state())
    seat = await take_seat(runtime)
    await rejected(seat, seat.sealed(), reasons_pb2.ERROR_REASON_POLICY_REFUSED)
    await seat.give_bundle(1)
    grant = seat.grant(connections=[use(bytes(16), "sql.query")])
    await rejected(seat, seat.sealed(grant, cell_type="sql"), reasons_pb2.ERROR_REASON_POLICY_REFUSED)


async def test_an_unpaired_runtime_runs_nothing(plane: ControlPlane, make_runtime, seat) -> None:
    unpaired = make_runtime(ControlPlane())
    with pytest.raises(BrokerError) as caught:
        await unpaired.broker.open_sealed(seat.sealed(), seat.handle)
    assert caught.value.reason == reasons_pb2.ERROR_REASON_NOT_PAIRED


async def test_ciphertext_dies_with_the_days_key(seat, plane: ControlPlane) -> None:
    sealed = seat.sealed()
    plane.clock.now_ms += 25 * HOUR_MS
    await seat.runtime.broker.accept_trust([], plane.trust_state())
    await seat.attach_again()
    with pytest.raises(BrokerError) as caught:
        await seat.open(sealed)
    assert caught.value.reason == reasons_pb2.ERROR_REASON_HELLO_STALE


async def test_what_was_sealed_just_before_the_key_changed_still_opens(seat, plane: ControlPlane) -> None:
    plane.clock.now_ms += 24 * HOUR_MS - 60_000
    await seat.runtime.broker.accept_trust([], plane.trust_state())
    sealed = seat.sealed()
    plane.clock.now_ms += 120_000
    before = seat.hello
    await seat.attach_again()
    assert seat.hello.boot_hpke_key != before.boot_hpke_key
    assert seat.hello.boot_id == before.boot_id
    assert isinstance(await seat.open(sealed), Run)
