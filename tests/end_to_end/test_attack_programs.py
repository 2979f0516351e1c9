"""Attacks with programs: what a network, a browser or a thief of one key hands to a real runtime, and what the runtime says.

Nothing that fails to open or verify may tell why, so those attacks all end in OPEN_FAILED. None of them may print "pwned".
"""

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform
from spin_envelope.signing import sign, unverified
from spinapis.envelope.v1 import run_pb2, signed_pb2
from spinapis.runtime.v1 import frames_pb2
from tests.fakes.extra_runtime import ExtraRuntime
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.history import deliver_receipts, open_alarms
from tests.fakes.stolen_keys import BUNDLE, PROGRAM, Sealer, granted, now_ms, program_for, relabelled, stolen

HOUR_MS = 3_600_000
PWN = "print('pwned')"


async def still_works(client: HandClient) -> None:
    """The runtime is as healthy as before, and nothing of an attack ran."""
    assert await client.outcome((await client.compile("print('fine')")).sealed) == "OK"
    assert "pwned" not in client.printed()


async def test_replay_in_the_same_boot(client: HandClient) -> None:
    sealed = (await client.compile("print('once')")).sealed
    assert await client.outcome(sealed) == "OK"
    assert await client.outcome(sealed) == "REPLAY_REFUSED"
    assert client.printed().count("once") == 1


async def test_replay_by_another_client_of_the_session(owner: Platform, client: HandClient) -> None:
    sealed = (await client.compile("print('once')")).sealed
    assert await client.outcome(sealed) == "OK"
    async with await HandClient.attach(owner, client.session) as other:
        assert await other.outcome(sealed) == "REPLAY_REFUSED"


async def test_replay_after_the_kernel_restarted(client: HandClient) -> None:
    sealed = (await client.compile(PWN)).sealed
    await client.send(restart_kernel=frames_pb2.RestartKernel())
    before = client.epoch
    state = await client.next("kernel_state", lambda kernel: kernel.phase == frames_pb2.KERNEL_PHASE_IDLE and kernel.kernel_epoch > before)
    client.epoch = state.kernel_state.kernel_epoch
    assert await client.outcome(sealed) == "KERNEL_EPOCH_STALE"
    await still_works(client)


async def test_order_7_then_6(client: HandClient) -> None:
    sixth, seventh = await client.compile(PWN), await client.compile("print('seventh')")
    assert seventh.nonce.seq == sixth.nonce.seq + 1
    assert await client.outcome(seventh.sealed) == "OK"
    assert await client.outcome(sixth.sealed) == "REPLAY_REFUSED"
    await still_works(client)


async def test_a_program_for_runtime_a_given_to_b(owner: Platform, client: HandClient, second_runtime: ExtraRuntime) -> None:
    sealed = (await client.compile(PWN)).sealed
    other = await new_session(owner, client.session.workspace_id, second_runtime.record.id)
    async with await HandClient.attach(owner, other) as b:
        await b.start_kernel()
        assert await b.outcome(sealed) == "OPEN_FAILED"
        await still_works(b)


async def test_a_program_of_workspace_a_given_to_b(owner: Platform, client: HandClient, foreign_runtime: ExtraRuntime) -> None:
    sealed = (await client.compile(PWN)).sealed
    other = await new_session(owner, foreign_runtime.record.workspace_id, foreign_runtime.record.id)
    async with await HandClient.attach(owner, other) as b:
        await b.start_kernel()
        assert await b.outcome(sealed) == "OPEN_FAILED"
        await still_works(b)


async def test_a_program_for_a_sealed_anew_to_b(running: RunningPlatform, owner: Platform, client: HandClient, second_runtime: ExtraRuntime) -> None:
    """With the compiler's key the seal is no obstacle: the signed fields are."""
    key = stolen(running.settings, "compiler")
    program = sign(program_for(await granted(running.settings, key, client), PWN), key)
    other = await new_session(owner, client.session.workspace_id, second_runtime.record.id)
    async with await HandClient.attach(owner, other) as b:
        await b.start_kernel()
        assert await b.outcome(Sealer.to(b).seal(program)) == "GRANT_MISMATCH"
        await still_works(b)


async def test_a_program_of_another_session_of_the_same_runtime(owner: Platform, client: HandClient) -> None:
    sealed = (await client.compile(PWN)).sealed
    other = await new_session(owner, client.session.workspace_id)
    async with await HandClient.attach(owner, other) as b:
        assert await b.outcome(sealed) == "GRANT_MISMATCH"


async def test_a_valid_grant_with_other_code_by_auths_key(running: RunningPlatform, client: HandClient) -> None:
    """auth's key signs grants and cannot make code."""
    grant = await granted(running.settings, stolen(running.settings, "compiler"), client)
    program = sign(program_for(grant, PWN), stolen(running.settings, "auth"))
    assert await client.outcome(Sealer.to(client).seal(program)) == "OPEN_FAILED"
    await still_works(client)


@pytest.mark.parametrize(
    "change",
    [
        {"source_digest": bytes(32)[:31] + b"\1"},
        {"cell_id": "another"},
        {"user_id": "f" * 32},
        {"connections": [run_pb2.ConnectionUse(connection_id=b"c" * 16, operations=["rest.request"])]},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_valid_grant_with_other_code_by_the_compilers_key(running: RunningPlatform, client: HandClient, change: dict[str, object]) -> None:
    key = stolen(running.settings, "compiler")
    program = program_for(await granted(running.settings, key, client), PWN, **change)
    assert await client.outcome(Sealer.to(client).seal(sign(program, key))) == "GRANT_MISMATCH"
    await still_works(client)


async def test_a_valid_grant_used_with_a_later_seq(running: RunningPlatform, client: HandClient) -> None:
    key = stolen(running.settings, "compiler")
    program = program_for(await granted(running.settings, key, client), PWN)
    program.nonce.seq += 5
    assert await client.outcome(Sealer.to(client).seal(sign(program, key))) == "GRANT_MISMATCH"
    await still_works(client)


async def test_a_grant_that_the_compiler_signed_itself(running: RunningPlatform, client: HandClient) -> None:
    key = stolen(running.settings, "compiler")
    own = sign(unverified(await granted(running.settings, key, client), run_pb2.RunGrant), key)
    assert await client.outcome(Sealer.to(client).seal(sign(program_for(own, PWN), key))) == "OPEN_FAILED"
    await still_works(client)


async def test_a_credential_bundle_sent_as_a_program(running: RunningPlatform, client: HandClient) -> None:
    key, seal = stolen(running.settings, "secrets"), Sealer.to(client).seal
    bundle = run_pb2.CredentialBundle(workspace_id=bytes.fromhex(client.session.workspace_id), bundle_version=1, expires_at_ms=now_ms() + 1000)
    signed = sign(bundle, key)
    assert await client.outcome(seal(signed, PROGRAM)) == "OPEN_FAILED"
    assert await client.outcome(seal(relabelled(signed, PROGRAM, [key]), PROGRAM)) == "OPEN_FAILED"
    await still_works(client)


async def test_a_program_that_the_secrets_key_signed(running: RunningPlatform, client: HandClient) -> None:
    grant = await granted(running.settings, stolen(running.settings, "compiler"), client)
    program = sign(program_for(grant, PWN), stolen(running.settings, "secrets"))
    assert await client.outcome(Sealer.to(client).seal(program)) == "OPEN_FAILED"
    assert await client.outcome(Sealer.to(client).seal(program, BUNDLE)) == "OPEN_FAILED"
    await still_works(client)


async def test_one_flipped_header_bit(client: HandClient) -> None:
    sealed = signed_pb2.Sealed.FromString((await client.compile(PWN)).sealed)
    for position in range(0, len(sealed.header), 3):
        header = bytearray(sealed.header)
        header[position] ^= 1 << (position % 8)
        flipped = signed_pb2.Sealed(header=bytes(header), ciphertext=sealed.ciphertext).SerializeToString()
        assert await client.outcome(flipped) == "OPEN_FAILED", f"byte {position}"
    await still_works(client)


@pytest.mark.parametrize("left", [0, 1, 31, 32, 1119, 1120, 1135, -1])
async def test_truncated_and_empty_ciphertext(client: HandClient, left: int) -> None:
    sealed = signed_pb2.Sealed.FromString((await client.compile(PWN)).sealed)
    cut = signed_pb2.Sealed(header=sealed.header, ciphertext=sealed.ciphertext[:left]).SerializeToString()
    assert await client.outcome(cut) == "OPEN_FAILED"
    await still_works(client)


async def test_an_empty_message_and_noise_as_a_program(client: HandClient) -> None:
    for noise in (b"", b"\0", b"\xff" * 300, signed_pb2.Sealed().SerializeToString() + b"\x0a\xff\xff\xff\xff\x7f"):
        assert await client.outcome(noise) == "OPEN_FAILED"
    await still_works(client)


async def test_suite_1_where_2_is_pinned(running: RunningPlatform, client: HandClient) -> None:
    key, sealer = stolen(running.settings, "compiler"), Sealer.to(client)
    program = sign(program_for(await granted(running.settings, key, client), PWN), key)
    assert await client.outcome(sealer.seal(program, recipient=sealer.weak_half)) == "OPEN_FAILED"
    strong = sealer.hello.boot_hpke_key
    assert await client.outcome(sealer.seal(program, recipient=strong, suite=1)) == "OPEN_FAILED"
    await still_works(client)


@pytest.mark.parametrize("off_ms", [-HOUR_MS, HOUR_MS], ids=["behind", "ahead"])
async def test_a_clock_an_hour_off(running: RunningPlatform, client: HandClient, off_ms: int) -> None:
    key, then = stolen(running.settings, "compiler"), now_ms() + off_ms
    program = program_for(await granted(running.settings, key, client), PWN, not_before_ms=then, expires_at_ms=then + 200_000)
    assert await client.outcome(Sealer.to(client).seal(sign(program, key))) == "TIME_REFUSED"
    assert "The runtime's clock says" in client.seen[-1].run_state.message
    await still_works(client)


async def test_a_validity_of_a_day(running: RunningPlatform, client: HandClient) -> None:
    key = stolen(running.settings, "compiler")
    program = program_for(await granted(running.settings, key, client), PWN, expires_at_ms=now_ms() + 24 * HOUR_MS)
    assert await client.outcome(Sealer.to(client).seal(sign(program, key))) == "TIME_REFUSED"
    await still_works(client)


async def test_a_stolen_compiler_key_inside_a_live_users_grant_raises_an_alarm(running: RunningPlatform, owner: Platform, client: HandClient) -> None:
    """This is all that the compiler's key buys: it runs once, as this user, in this session, and the log says that nobody compiled it."""
    key = stolen(running.settings, "compiler")
    program = sign(program_for(await granted(running.settings, key, client), "print('inside')"), key)
    assert await client.outcome(Sealer.to(client).seal(program)) == "OK"
    await deliver_receipts(owner, client.session)
    assert "receipt.unknown_program" in {alarm.type for alarm in await open_alarms(owner, client.session.workspace_id)}
