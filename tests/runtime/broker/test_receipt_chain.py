"""The runtime's testimony across acknowledgements, crashes and a refusing disk."""

import asyncio
import errno
import os
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.signing import unverified, verify
from spin_runtime.broker import receipts as receipts_module
from spin_runtime.broker.api import BrokerError, Rejected, RunEnd
from spin_runtime.broker.disk import DiskError
from spin_runtime.broker.local import open_broker
from spinapis.envelope.v1 import receipt_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import Client, ControlPlane

KIND = receipt_pb2.ReceiptType


def ended(nonce, status=receipt_pb2.RUN_STATUS_OK, frames: int = 0, digest: bytes = bytes(32)) -> RunEnd:
    return RunEnd(nonce, status, frames, digest, False)


async def kinds(runtime) -> list[str]:
    return [KIND.Name(receipt.type).removeprefix("RECEIPT_TYPE_") for receipt in await runtime.receipts()]


async def test_a_run_from_boot_to_end(seat, plane: ControlPlane) -> None:
    run = await seat.run()
    broker = seat.runtime.broker
    await broker.run_progress(run.nonce, 256, b"h" * 32)
    await broker.run_ended(ended(run.nonce, receipt_pb2.RUN_STATUS_ERROR, 300, b"e" * 32))
    await broker.kernel_ended(seat.kernel.kernel_epoch, "stopped")
    assert await kinds(seat.runtime) == ["BOOT", "KERNEL", "START", "PROGRESS", "END", "KERNEL"]
    carried = await broker.receipts_after(0, 100)
    previous = bytes(32)
    for number, (seq, data) in enumerate(carried, start=1):
        receipt = verify(data, receipt_pb2.Receipt, [broker._identity.verify_key]).message
        assert (seq, receipt.receipt_seq, receipt.prev_digest) == (number, number, previous)
        assert (receipt.workspace_id, receipt.runtime_id, receipt.boot_id) == (plane.workspace_id, plane.runtime_id, seat.hello.boot_id)
        previous = signed_digest(data)
    start, end = (unverified(carried[at][1], receipt_pb2.Receipt) for at in (2, 4))
    for receipt in (start, end):
        assert (receipt.nonce, receipt.session_id) == (run.nonce, seat.client.session_id)
        digests = (receipt.program_digest, receipt.ciphertext_digest, receipt.grant_digest)
        assert digests == (run.program_digest, run.ciphertext_digest, run.grant_digest)
    assert (end.status, end.frames, end.output_digest) == (receipt_pb2.RUN_STATUS_ERROR, 300, b"e" * 32)


async def test_a_run_that_never_started_ends_as_well(seat) -> None:
    run = await seat.open(seat.sealed())
    await seat.runtime.broker.run_ended(ended(run.nonce, receipt_pb2.RUN_STATUS_ABORTED))
    assert await kinds(seat.runtime) == ["BOOT", "KERNEL", "END"]
    with pytest.raises(BrokerError):
        await seat.runtime.broker.run_ended(ended(run.nonce))


async def test_runs_that_the_runtime_went_down_in_are_lost(seat) -> None:
    first, second = await seat.run(), await seat.run()
    await seat.runtime.broker.run_progress(second.nonce, 256, b"h" * 32)
    await seat.runtime.restart()
    assert await kinds(seat.runtime) == ["BOOT", "KERNEL", "START", "START", "PROGRESS", "BOOT", "END", "END"]
    *_, lost_first, lost_second = await seat.runtime.receipts()
    for lost, run in ((lost_first, first), (lost_second, second)):
        assert (lost.status, lost.nonce, lost.program_digest) == (receipt_pb2.RUN_STATUS_LOST, run.nonce, run.program_digest)
        assert lost.boot_id != run.nonce.boot_id
    assert (lost_first.frames, lost_first.output_digest) == (0, bytes(32))
    assert (lost_second.frames, lost_second.output_digest) == (256, b"h" * 32)
    await seat.runtime.restart()
    assert (await kinds(seat.runtime))[-3:] == ["END", "END", "BOOT"]


async def test_receipts_stay_until_they_are_acknowledged(seat, plane: ControlPlane) -> None:
    broker = seat.runtime.broker
    carried = await broker.receipts_after(0, 100)
    await broker.acknowledge(plane.ack(*carried[0]))
    assert [seq for seq, _ in await broker.receipts_after(0, 100)] == [2]
    await broker.acknowledge(plane.ack(*carried[0]))
    await seat.runtime.restart()
    assert [seq for seq, _ in await seat.runtime.broker.receipts_after(0, 100)] == [2, 3]
    assert [seq for seq, _ in await seat.runtime.broker.receipts_after(2, 100)] == [3]
    assert [seq for seq, _ in await seat.runtime.broker.receipts_after(0, 1)] == [2]


async def test_the_chain_goes_on_after_everything_was_acknowledged(seat, plane: ControlPlane) -> None:
    (*_, last) = await seat.runtime.broker.receipts_after(0, 100)
    await seat.runtime.broker.acknowledge(plane.ack(*last))
    await seat.runtime.restart()
    (receipt,) = await seat.runtime.receipts()
    assert (receipt.receipt_seq, receipt.prev_digest) == (last[0] + 1, signed_digest(last[1]))


async def test_a_run_is_lost_even_if_its_start_was_acknowledged_and_forgotten(seat, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts_module, "COMPACT_BYTES", 0)
    run = await seat.run()
    for _ in range(20):
        await seat.runtime.broker.run_progress(run.nonce, 256, b"h" * 32)
    journal = seat.runtime.broker._receipts.journal
    size = journal.size
    (*_, last) = await seat.runtime.broker.receipts_after(0, 100)
    await seat.runtime.broker.acknowledge(plane.ack(*last))
    await seat.runtime.broker._receipts._writer
    assert journal.size < size / 4
    await seat.runtime.restart()
    _, lost = await seat.runtime.receipts()
    assert (lost.status, lost.nonce, lost.frames) == (receipt_pb2.RUN_STATUS_LOST, run.nonce, 256)


async def test_receipts_that_come_together_share_a_sync(seat, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [await seat.open(seat.sealed()) for _ in range(50)]
    syncs = 0
    fdatasync = os.fdatasync

    def counted(file: int) -> None:
        nonlocal syncs
        syncs += 1
        fdatasync(file)

    monkeypatch.setattr("spin_runtime.broker.journal.os.fdatasync", counted)
    await asyncio.gather(*(seat.runtime.broker.run_started(run.nonce) for run in runs))
    assert syncs <= 3
    assert len(await seat.runtime.receipts()) == 52
    await seat.runtime.restart()
    assert len(await seat.runtime.receipts()) == 52 + 1 + 50


async def test_waiting_for_receipts(seat) -> None:
    broker = seat.runtime.broker
    await broker.wait_receipts(1)
    waiting = asyncio.create_task(broker.wait_receipts(2))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await seat.run()
    await asyncio.wait_for(waiting, 5)
    waiting = asyncio.create_task(broker.wait_receipts(1000))
    await asyncio.sleep(0)
    await broker.close()
    with pytest.raises(BrokerError):
        await waiting
    seat.runtime.broker = seat.runtime.opened()


async def test_a_full_disk_refuses_runs_and_breaks_no_chain(seat, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await seat.open(seat.sealed()), await seat.open(seat.sealed())
    with monkeypatch.context() as full:

        def no_space(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr("spin_runtime.broker.journal.os.fdatasync", no_space)
        for nonce in (first.nonce, first.nonce):
            with pytest.raises(BrokerError) as caught:
                await seat.runtime.broker.run_started(nonce)
            assert caught.value.reason == reasons_pb2.ERROR_REASON_UNAVAILABLE
    await seat.runtime.broker.run_started(second.nonce)
    assert await kinds(seat.runtime) == ["BOOT", "KERNEL", "START"]
    await seat.runtime.restart()
    assert [receipt.receipt_seq for receipt in await seat.runtime.receipts()] == [1, 2, 3, 4, 5]


async def test_a_write_that_a_crash_cut_short_is_dropped(seat) -> None:
    run = await seat.run()
    await seat.runtime.broker.close()
    file = seat.runtime.home / "var" / "broker" / "receipts"
    end = seat.runtime.broker._receipts.journal.size
    data = file.read_bytes()
    file.write_bytes(data[: end - 5] + bytes(len(data) - end + 5))
    seat.runtime.broker = seat.runtime.opened()
    # The START was cut, so the run never happened; the chain goes on without a gap.
    assert await kinds(seat.runtime) == ["BOOT", "KERNEL", "BOOT"]
    assert run


@pytest.mark.parametrize("name", ["receipts", "state", "identity"])
async def test_a_damaged_file_is_reported(seat, name: str) -> None:
    await seat.run()
    await seat.runtime.broker.close()
    file: Path = seat.runtime.home / "var" / "broker" / name
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[40] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(DiskError, match=name):
        seat.runtime.opened()
    file.write_bytes(whole)
    seat.runtime.broker = seat.runtime.opened()


WRITER = """
import asyncio, os, sys
from pathlib import Path
from spin_runtime.broker.local import open_broker
from spin_runtime.broker.receipt_forms import kernel_event

async def main():
    broker = open_broker(Path(sys.argv[1]), os.environ["SPIN_TOKEN"])
    for epoch in range(1, 100_000):
        for event in ("started", "ended"):
            await broker._chain().write(kernel_event(broker._boot.boot_id, epoch, bytes(16), event))
        print(2 + epoch * 2, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 7, 40])
async def test_kill_dash_nine_loses_nothing_that_was_confirmed(plane: ControlPlane, make_runtime, lines: int) -> None:
    runtime = make_runtime(plane)
    await runtime.pair()
    await runtime.broker.close()
    environment = {**os.environ, "SPIN_TOKEN": plane.token.text}
    arguments = (sys.executable, "-c", WRITER, str(runtime.home))
    process = await asyncio.create_subprocess_exec(*arguments, env=environment, stdout=asyncio.subprocess.PIPE)
    for _ in range(lines):
        confirmed = int(await process.stdout.readline())
    process.kill()
    complete, _, _ = (await process.stdout.read()).rpartition(b"\n")
    confirmed = int(complete.split()[-1]) if complete else confirmed
    await process.wait()
    runtime.broker = runtime.opened()
    carried = await runtime.broker.receipts_after(0, 1_000_000)
    assert [seq for seq, _ in carried] == list(range(1, len(carried) + 1))
    assert len(carried) > confirmed >= 2 * lines
    for (_, before), (_, after) in pairwise(carried):
        assert unverified(after, receipt_pb2.Receipt).prev_digest == signed_digest(before)


async def test_two_runtimes_in_one_home(runtime, plane: ControlPlane) -> None:
    with pytest.raises(DiskError, match="in use by another runtime"):
        open_broker(runtime.home, plane.token.text)


async def test_a_disk_that_refuses_keeps_trust_as_it_was(runtime, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = plane.trust_state()
    with monkeypatch.context() as broken:
        broken.setattr("spin_runtime.broker.disk.os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(BrokerError) as caught:
            await runtime.broker.accept_trust([], newer)
        assert caught.value.reason == reasons_pb2.ERROR_REASON_UNAVAILABLE
        assert "Input/output" not in caught.value.text
    assert (await runtime.hello(Client())).trust_version == 1
    await runtime.restart()
    assert (await runtime.hello(Client())).trust_version == 1


async def test_a_kernel_that_cannot_be_recorded_is_not_live(seat, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("spin_runtime.broker.journal.os.fdatasync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(BrokerError):
            await seat.runtime.broker.kernel_started(seat.handle, "python3")
    seat.kernel = type(seat.kernel)(2, seat.client.session_id)
    answer = await seat.open(seat.sealed())
    assert isinstance(answer, Rejected)
    assert answer.reason == reasons_pb2.ERROR_REASON_KERNEL_EPOCH_STALE


async def test_no_identity_is_ever_made_twice(plane: ControlPlane, make_runtime) -> None:
    runtime = make_runtime(plane)
    first = (await runtime.broker.status()).fingerprint
    await runtime.restart()
    assert (await runtime.broker.status()).fingerprint == first
    assert first != SigningKey.generate().public
