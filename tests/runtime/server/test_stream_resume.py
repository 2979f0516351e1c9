"""Reconnecting loses and repeats nothing, whatever happened to the socket and whoever attaches."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from spin_envelope.chain import OutputChain
from spinapis.envelope.v1 import receipt_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.runtime_rig import Rig, Seat, running

# 8 MB in more than 8,000 messages: display_data is not merged by the kernel as prints are.
MANY = """
from IPython.display import display
for i in range(8200):
    display({"text/plain": f"{i:06d}" + "x" * 1018}, raw=True)
"""


async def everything(rig: Rig, seat: Seat, count: int) -> list[bytes]:
    """The whole stream, as a client that comes afterwards gets it."""
    async with rig.attached(seat.person) as other:
        await other.body("resumed")
        assert len(other.stream) >= count
        return other.stream


def chained(stream: list[bytes], state: f.RunState) -> OutputChain:
    chain = OutputChain()
    for data in stream:
        batch = f.RuntimeFrame.FromString(data).outputs
        if batch.nonce == state.nonce:
            for output in batch.outputs:
                chain.append(output.kind, output.body)
    return chain


async def test_output_is_byte_identical_when_the_socket_is_killed_in_the_middle(rig: Rig) -> None:
    async with rig.attached() as first:
        await first.start_kernel()
        nonce = await first.submit(MANY)
        await first.until(lambda _: len(first.outputs()) > 2000)
        first.socket._response.connection.transport.abort()  # no close frame, no goodbye
        last = f.RuntimeFrame.FromString(first.stream[-1]).position
        async with rig.attached(first.person, resume=last) as second:
            state = await second.ended(nonce)
            stream = first.stream + second.stream
            positions = [f.RuntimeFrame.FromString(data).position for data in stream]
            assert positions == list(range(1, len(positions) + 1))
            assert state.status == receipt_pb2.RUN_STATUS_OK
            assert (chained(stream, state).frames, chained(stream, state).digest) == (state.frames, state.output_digest)
            assert state.frames > 8200
            assert sum(len(data) for data in stream) > 8_000_000
            again = await everything(rig, second, len(stream))
            assert hashlib.sha256(b"".join(again[: len(stream)])).digest() == hashlib.sha256(b"".join(stream)).digest()


async def test_two_clients_receive_the_same_frames(rig: Rig) -> None:
    async with rig.attached() as one, rig.attached(one.person) as two:
        await one.start_kernel()
        nonce = await one.submit("print('shared')")
        await asyncio.gather(one.ended(nonce), two.ended(nonce))
        assert one.stream == two.stream[: len(one.stream)]
        assert "shared" in two.text()


async def test_a_run_goes_on_and_is_kept_when_every_client_leaves(rig: Rig) -> None:
    async with rig.attached() as first:
        await first.start_kernel()
        nonce = await first.submit("import time; time.sleep(0.5); print('nobody saw this')")
        await first.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_RUNNING)
    async with rig.attached(first.person) as later:
        await later.ended(nonce)
        assert "nobody saw this" in later.text()


async def test_resumed_comes_after_the_frames_that_were_there(rig: Rig) -> None:
    async with rig.attached() as first:
        await first.start_kernel()
        await first.run("print(1)")
        count = len(first.stream)
    async with rig.attached(first.person) as again:
        resumed = await again.body("resumed")
        assert resumed.position >= count
        assert len(again.stream) == resumed.position


@pytest.mark.parametrize("position", [10_000, 2**63])
async def test_a_position_that_was_never_written_is_refused_with_the_ones_that_were(rig: Rig, position: int) -> None:
    async with rig.attached(resume=position) as seat:
        error = await seat.body("error")
        assert error.reason == reasons_pb2.ERROR_REASON_POSITION_UNKNOWN
        assert error.metadata["last_position"] == "0"
        assert not error.fatal
        await seat.send(resume=f.Resume(position=0))
        await seat.body("resumed")


async def test_sessions_do_not_see_each_other(rig: Rig) -> None:
    async with rig.attached() as one, rig.attached() as other:
        await one.start_kernel()
        await one.run("print('mine')")
        await other.body("resumed")
        assert other.stream == []


async def test_the_disk_holds_ciphertext_alone_and_nothing_after_the_stop(rig: Rig) -> None:
    marker = "marker-of-this-test"
    async with rig.attached() as seat:
        await seat.start_kernel()
        await seat.run(f"for i in range(100_000): print('{marker}', 'y' * 100)")
        files = list((rig.settings.home / "var" / "streams").iterdir())
        assert files, "12 MB do not fit into memory's share"
        assert all(marker.encode() not in file.read_bytes() for file in files)
    await rig.runtime.stop()
    assert not (rig.settings.home / "var" / "streams").exists()


async def test_positions_go_on_when_a_session_that_nobody_used_was_ended(tmp_path: Path) -> None:
    async with running(tmp_path, SPIN_SESSION_KEEP_S="0") as rig:
        async with rig.attached() as seat:
            await seat.start_kernel()
            await seat.run("print('old')")
            await seat.send(stop_kernel=f.StopKernel())
            await seat.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_STOPPED)
            last = len(seat.stream)
        await asyncio.sleep(0.1)
        await rig.sessions.sweep()
        assert len(rig.sessions) == 0
        async with rig.attached(seat.person) as again:
            assert (again.attached.first_position, again.attached.last_position) == (last + 1, 0)
            await again.start_kernel()
            assert f.RuntimeFrame.FromString(again.stream[0]).position == last + 1
        async with rig.attached(seat.person, resume=last - 2) as behind:
            assert (await behind.body("error")).reason == reasons_pb2.ERROR_REASON_POSITION_UNKNOWN


async def test_a_session_with_a_kernel_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path, SPIN_SESSION_KEEP_S="0") as rig:
        async with rig.attached() as seat:
            await seat.start_kernel()
        await asyncio.sleep(0.1)
        await rig.sessions.sweep()
        assert len(rig.sessions) == 1
