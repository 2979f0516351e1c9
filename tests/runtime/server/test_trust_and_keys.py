"""What time and a removal do to a runtime with sessions attached: real socket, broker and kernels, and a clock that the test turns."""

import asyncio
import gc
from pathlib import Path

import pytest
from aiohttp import WSMsgType

from spin_envelope.digests import key_id
from spin_envelope.hpke_keys import RecipientKey
from spinapis.envelope.v1 import receipt_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.control_plane import HOUR_MS, MINUTE_MS, ControlPlane
from tests.fakes.runtime_rig import Ahead, Rig, Seat, running

TRUST_EXPIRED, HELLO_STALE = reasons_pb2.ERROR_REASON_TRUST_EXPIRED, reasons_pb2.ERROR_REASON_HELLO_STALE
REVOKED = reasons_pb2.ERROR_REASON_RUNTIME_REVOKED


@pytest.fixture(autouse=True)
def upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a clock that is turned shows at once."""
    monkeypatch.setattr("spin_runtime.broker.upkeep.SECONDS", 0.05)


@pytest.fixture
def ahead() -> Ahead:
    return Ahead()


async def trusted(seat: Seat, **changes: object) -> f.TrustAccepted:
    await seat.send(trust_documents=f.TrustDocuments(trust_state=seat.plane.trust_state(**changes)))
    accepted: f.TrustAccepted = await seat.body("trust_accepted")
    return accepted


def private_keys() -> set[bytes]:
    """The HPKE keys that this process still holds."""
    gc.collect()
    return {found.key_id for found in gc.get_objects() if isinstance(found, RecipientKey)}


async def test_the_boot_key_is_replaced_under_a_session(tmp_path: Path, ahead: Ahead) -> None:
    """A client with the Hello of yesterday is told to attach again; what runs meanwhile goes on, and the stream has no hole."""
    async with running(tmp_path, ControlPlane(clock=ahead)) as rig, rig.attached() as seat:  # type: ignore[arg-type]
        await trusted(seat, grace_ms=72 * HOUR_MS)
        await seat.start_kernel()
        old = seat.hello.boot_hpke_key
        slow = await seat.submit("import time\nfor n in range(40):\n    print(n)\n    time.sleep(0.05)")
        await seat.until(lambda frame: "0" in seat.text())
        yesterday, _ = seat.sealed("print('yesterday')")
        ahead.added_ms += 24 * HOUR_MS
        # In the short overlap it is still opened: a program that was in flight is not lost.
        in_flight, nonce = seat.sealed("print('in flight')")
        async with rig.attached(seat.person, resume=None) as next_hour:
            await trusted(next_hour, grace_ms=72 * HOUR_MS)
            await next_hour.send(sealed=in_flight)
            await seat.until(lambda frame: frame.run_state.nonce == nonce)
            ahead.added_ms += 7 * MINUTE_MS
            await next_hour.send(sealed=yesterday)
            refused = (await next_hour.until(lambda frame: frame.error.reason == HELLO_STALE)).error
            assert refused.ciphertext_digest and not refused.fatal
        async with rig.attached(seat.person, resume=positions(seat)[-1]) as again:
            assert again.hello.boot_hpke_key != old
            assert again.hello.boot_id == seat.hello.boot_id
            again.stream, again.epoch = list(seat.stream), seat.epoch
            assert (await again.ended(nonce)).status == receipt_pb2.RUN_STATUS_OK
            assert (await again.run("print('today')")).status == receipt_pb2.RUN_STATUS_OK
            assert positions(again) == list(range(1, len(again.stream) + 1))
            assert again.text() == "".join(f"{n}\n" for n in range(40)) + "in flight\ntoday\n"
        assert slow.boot_id == nonce.boot_id


async def test_an_attachment_ends_after_its_time_and_the_session_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell runs on and then asks for a line while nobody of this client is attached; the stream goes on where it was left."""
    async with running(tmp_path) as rig, rig.attached() as seat:
        await seat.start_kernel()
        monkeypatch.setattr("spin_runtime.broker.clients.ATTACHED_MS", 1500)
        async with rig.attached(seat.person) as short:
            monkeypatch.undo()
            nonce = await seat.submit(
                "import time\nfor n in range(60):\n    print(n)\n    time.sleep(0.05)\nprint(input('more? '))", allow_stdin=True
            )
            while (message := await short.socket.receive(timeout=60)).type is WSMsgType.BINARY:
                short.stream += [message.data] if f.RuntimeFrame.FromString(message.data).position else []
            assert message.type is WSMsgType.CLOSE
        request_id = (await seat.body("input_request")).request_id
        async with rig.attached(seat.person, resume=positions(short)[-1]) as again:
            again.stream = list(short.stream)
            await again.send(input_reply=f.InputReply(request_id=request_id, value="done"))
            assert (await again.ended(nonce)).status == receipt_pb2.RUN_STATUS_OK
            assert positions(again) == list(range(1, len(again.stream) + 1))
            assert again.text() == "".join(f"{n}\n" for n in range(60)) + "done\n"


async def test_an_attachment_lasts_for_an_hour(tmp_path: Path, ahead: Ahead) -> None:
    """What was sealed for a client opens under its next attachment, and not under one that is over."""
    async with running(tmp_path, ControlPlane(clock=ahead)) as rig, rig.attached() as seat:  # type: ignore[arg-type]
        await seat.start_kernel()
        # Sealed just before, and sent just after.
        ahead.added_ms += HOUR_MS - 1000
        sealed, nonce = seat.sealed("1")
        ahead.added_ms += 2000
        await seat.send(sealed=sealed)
        assert (await seat.until(lambda frame: frame.error.reason == HELLO_STALE)).error.ciphertext_digest
        async with rig.attached(seat.person) as again:
            await again.send(sealed=sealed)
            assert (await again.ended(nonce)).status == receipt_pb2.RUN_STATUS_OK


async def test_the_old_private_key_is_gone(tmp_path: Path, ahead: Ahead) -> None:
    """From memory, not only out of use: nobody who reads it later opens what was sealed to it."""
    async with running(tmp_path, ControlPlane(clock=ahead)) as rig, rig.attached() as seat:  # type: ignore[arg-type]
        sealed_to = key_id(seat.hello.boot_hpke_key.algorithm, seat.hello.boot_hpke_key.public_key)
        assert sealed_to in private_keys()
        ahead.added_ms += 24 * HOUR_MS + 7 * MINUTE_MS
        async with rig.attached(seat.person):
            assert sealed_to not in private_keys()


async def test_trust_runs_out_under_a_running_cell(tmp_path: Path, ahead: Ahead) -> None:
    """The cell is interrupted, the queue refused with the reason; variables stay, and the next trust state lets it go on."""
    async with running(tmp_path, ControlPlane(clock=ahead)) as rig, rig.attached() as seat:  # type: ignore[arg-type]
        await seat.start_kernel()
        await trusted(seat)
        assert (await seat.run("kept = 7")).status == receipt_pb2.RUN_STATUS_OK
        running_one = await seat.submit("import time\nprint('began')\ntime.sleep(600)")
        waiting = await seat.submit("print('never')")
        await seat.until(lambda frame: "began" in seat.text())
        ahead.added_ms += 24 * HOUR_MS
        refused = await seat.ended(waiting)
        assert (refused.status, refused.reason) == (receipt_pb2.RUN_STATUS_ABORTED, TRUST_EXPIRED)
        stopped = next((state for state in states(seat) if state.nonce == running_one and state.phase == f.RUN_PHASE_ENDED), None)
        stopped = stopped or await seat.ended(running_one)
        assert stopped.status == receipt_pb2.RUN_STATUS_INTERRUPTED
        accepted = await trusted(seat)
        assert accepted.trust_phase == trust_pb2.TRUST_PHASE_FRESH
        async with rig.attached(seat.person) as again:
            again.epoch = seat.epoch
            await again.run("print(kept)")
            assert again.text() == "began\n7\n"
            ends = [receipt for receipt in again.receipts if receipt.type == receipt_pb2.RECEIPT_TYPE_END]
            phases = {receipt.nonce.seq: receipt.trust_phase for receipt in ends}
            assert phases[running_one.seq] == phases[waiting.seq] == trust_pb2.TRUST_PHASE_EXPIRED
            assert "never" not in again.text()


LEFT_BEHIND = """
import os, threading, time
ticks = [0]
def tick():
    while True:
        ticks[0] += 1
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
print(os.getpid())
"""


def held(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in status.splitlines() if line.startswith("State:")).split()[1] == "T"


async def until_held(pid: int, wanted: bool) -> None:
    async with asyncio.timeout(60):
        while held(pid) is not wanted:
            await asyncio.sleep(0.01)


async def test_what_a_cell_left_behind_stands_still_without_trust(tmp_path: Path, ahead: Ahead) -> None:
    """Its variables are there when trust is."""
    async with running(tmp_path, ControlPlane(clock=ahead)) as rig, rig.attached() as seat:  # type: ignore[arg-type]
        await seat.start_kernel()
        await trusted(seat)
        await seat.run(LEFT_BEHIND)
        pid = int(seat.text())
        ahead.added_ms += 24 * HOUR_MS
        await until_held(pid, wanted=True)
        await trusted(seat)
        await until_held(pid, wanted=False)
        async with rig.attached(seat.person) as again:
            again.epoch = seat.epoch
            await again.run("before = ticks[0]\nwhile ticks[0] == before: time.sleep(0.01)\nprint('goes on')")
            assert "goes on" in again.text()


async def test_a_kernel_that_is_held_can_be_stopped(tmp_path: Path, ahead: Ahead) -> None:
    async with running(tmp_path, ControlPlane(clock=ahead)) as rig, rig.attached() as seat:  # type: ignore[arg-type]
        await seat.start_kernel()
        await trusted(seat)
        await seat.run(LEFT_BEHIND)
        pid = int(seat.text())
        ahead.added_ms += 24 * HOUR_MS
        await until_held(pid, wanted=True)
        await seat.send(stop_kernel=f.StopKernel())
        await seat.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_STOPPED)
        async with asyncio.timeout(60):
            while Path(f"/proc/{pid}/stat").exists():
                await asyncio.sleep(0.05)


async def test_in_its_grace_a_runtime_says_so_and_goes_on(tmp_path: Path, ahead: Ahead) -> None:
    async with running(tmp_path, ControlPlane(clock=ahead)) as rig, rig.attached() as seat:  # type: ignore[arg-type]
        await seat.start_kernel()
        await trusted(seat, grace_ms=2 * HOUR_MS)
        slow = await seat.submit("import time\nprint('began')\nfor _ in range(20): time.sleep(0.1)\nprint('done')")
        await seat.until(lambda frame: "began" in seat.text())
        ahead.added_ms += 25 * HOUR_MS
        assert (await seat.ended(slow)).status == receipt_pb2.RUN_STATUS_OK
        assert "done" in seat.text()
        status = await rig.runtime._broker.status()
        assert status.trust_phase == trust_pb2.TRUST_PHASE_GRACE
        assert status.runs_until_ms == status.trust_expires_at_ms + 2 * HOUR_MS


async def test_a_runtime_that_is_removed(tmp_path: Path, ahead: Ahead) -> None:
    """Its cells end with receipts, its kernel is gone, and whoever is attached is told."""
    async with running(tmp_path, ControlPlane(clock=ahead)) as rig, rig.attached() as seat:  # type: ignore[arg-type]
        await seat.start_kernel()
        slow, waiting = await seat.submit("import time\nprint('began')\ntime.sleep(600)"), await seat.submit("print('never')")
        await seat.until(lambda frame: "began" in seat.text())
        await seat.send(trust_documents=f.TrustDocuments(trust_state=rig.plane.trust_state(runtime_status=trust_pb2.RUNTIME_STATUS_REVOKED)))
        await seat.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_STOPPED)
        await seat.until(lambda _: {slow.seq, waiting.seq} <= {one.nonce.seq for one in ends_of(seat)})
        assert {one.trust_phase for one in ends_of(seat)} == {trust_pb2.TRUST_PHASE_REVOKED}
        last = seat.receipts[-1]
        data = (await rig.runtime._broker.receipts_after(last.receipt_seq - 1, 1))[0][1]
        await seat.send(receipt_ack=rig.plane.ack(last.receipt_seq, data))
        ended = (await seat.until(lambda frame: frame.error.fatal)).error
        assert ended.reason == REVOKED
        async with rig.socket() as socket:
            hello = f.ClientHello(capability=rig.plane.capability(seat.person), challenge=rig.plane.challenge(seat.person), nonce_b=bytes(32))
            await socket.send_bytes(f.ClientFrame(client_hello=hello).SerializeToString())
            assert f.RuntimeFrame.FromString(await socket.receive_bytes(timeout=10)).error.reason == REVOKED


async def test_a_removal_reaches_a_runtime_without_an_attachment(tmp_path: Path) -> None:
    """Nobody gets a capability for a removed runtime; the signed trust state alone stops it."""
    async with running(tmp_path) as rig:
        async with rig.attached() as seat:
            await seat.start_kernel()
        state = rig.plane.trust_state(runtime_status=trust_pb2.RUNTIME_STATUS_REVOKED)
        assert await greeted(rig, state) == REVOKED
        assert (await rig.runtime._broker.status()).trust_phase == trust_pb2.TRUST_PHASE_REVOKED


async def greeted(rig: Rig, trust_state: bytes) -> int:
    """What is answered to a ClientHello that carries a trust state and nothing else."""
    async with rig.socket() as socket:
        hello = f.ClientHello(nonce_b=bytes(32), trust=f.TrustDocuments(trust_state=trust_state))
        await socket.send_bytes(f.ClientFrame(client_hello=hello).SerializeToString())
        return f.RuntimeFrame.FromString(await socket.receive_bytes(timeout=10)).error.reason


def positions(seat: Seat) -> list[int]:
    return [f.RuntimeFrame.FromString(data).position for data in seat.stream]


def states(seat: Seat) -> list[f.RunState]:
    frames = [f.RuntimeFrame.FromString(data) for data in seat.stream]
    return [frame.run_state for frame in frames if frame.HasField("run_state")]


def ends_of(seat: Seat) -> list[receipt_pb2.Receipt]:
    return [receipt for receipt in seat.receipts if receipt.type == receipt_pb2.RECEIPT_TYPE_END]
