"""The stream: gapless positions, the same bytes for every reader, little memory."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spin_runtime.kernels.api import KernelMessage
from spin_runtime.session import encoding
from spin_runtime.session import journal as journal_module
from spin_runtime.session.journal import PRESSURE_BYTES, Journal, PositionUnknown
from spin_runtime.session.spill import SpillFile, SpillKey
from spinapis.envelope.v1 import run_pb2
from spinapis.runtime.v1 import frames_pb2 as f

MIB = 1 << 20


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[int], SpillFile]:
    key = SpillKey()
    return lambda first: SpillFile(key, tmp_path, first)


def frame(size: int, fill: bytes = b"x") -> list[bytes]:
    return [f.RuntimeFrame(error=f.Error(message=(fill * size).decode())).SerializeToString()]


async def read_all(journal: Journal, after: int) -> list[bytes]:
    frames: list[bytes] = []
    while after + len(frames) < journal.last:
        frames += await journal.read(after + len(frames), 300_000)
    return frames


async def settle(journal: Journal) -> None:
    while journal._spilling is not None:
        await asyncio.sleep(0.01)


async def test_positions_have_no_gaps_in_memory_and_on_disk(opened: Callable[[int], SpillFile]) -> None:
    journal = Journal(opened)
    positions = [journal.append(frame(100_000, b"%d" % (i % 10))) for i in range(120)]
    assert positions == list(range(1, 121))
    during = await read_all(journal, 0)
    await settle(journal)
    after = await read_all(journal, 0)
    assert during == after
    assert [f.RuntimeFrame.FromString(data).position for data in after] == positions
    assert journal.memory_bytes < 6 * MIB
    assert await read_all(journal, 60) == after[60:]
    await journal.close()


async def test_a_frame_larger_than_everything_passes(opened: Callable[[int], SpillFile]) -> None:
    journal = Journal(opened)
    journal.append(frame(20 * MIB))
    journal.append(frame(10))
    await settle(journal)
    assert [len(data) > MIB for data in await read_all(journal, 0)] == [True, False]
    await journal.close()


async def test_a_source_is_paused_when_the_disk_does_not_follow(opened: Callable[[int], SpillFile]) -> None:
    journal, said = Journal(opened), []
    journal.on_pressure = said.append
    while journal.memory_bytes < PRESSURE_BYTES:
        journal.append(frame(MIB))
    journal.append(frame(MIB))
    assert said == [True]
    await settle(journal)
    assert said == [True, False]
    await journal.close()


async def test_the_oldest_frames_go_when_the_stream_is_over_its_size(opened: Callable[[int], SpillFile]) -> None:
    journal = Journal(opened, max_spill_bytes=16 * MIB)
    for _ in range(60):
        journal.append(frame(MIB))
        await settle(journal)
    assert journal.first > 1
    kept = await read_all(journal, journal.first - 1)
    assert [f.RuntimeFrame.FromString(data).position for data in kept] == list(range(journal.first, 61))
    with pytest.raises(PositionUnknown):
        await journal.read(journal.first - 2, MIB)
    await journal.close()


async def test_a_full_disk_costs_old_frames_and_not_the_session(opened: Callable[[int], SpillFile], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SpillFile, "append", full)
    journal = Journal(opened)
    for _ in range(10):
        journal.append(frame(MIB))
    await settle(journal)
    assert journal.first > 1
    assert len(await read_all(journal, journal.first - 1)) == journal.last - journal.first + 1
    assert isinstance(journal.failure, OSError)
    await journal.close()


async def test_files_are_ciphertext_and_go_with_the_journal(opened: Callable[[int], SpillFile], tmp_path: Path) -> None:
    journal = Journal(opened)
    for _ in range(100):
        journal.append(frame(100_000, b"secret"))
    await settle(journal)
    files = list(tmp_path.iterdir())
    assert files
    assert all(b"secret" not in path.read_bytes() for path in files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    await journal.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_reader_that_waits_is_woken_by_the_next_frame_and_by_the_end(opened: Callable[[int], SpillFile]) -> None:
    journal = Journal(opened)
    waiting = asyncio.create_task(journal.wait(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    journal.append(frame(1))
    await asyncio.wait_for(waiting, 1)
    last = asyncio.create_task(journal.wait(1))
    await asyncio.sleep(0)
    await journal.close()
    await asyncio.wait_for(last, 1)


async def test_a_held_frame_is_heard_of_with_the_next_one(opened: Callable[[int], SpillFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "HOLD_S", 600.0)
    journal = Journal(opened)
    waiting = asyncio.create_task(journal.wait(0))
    await asyncio.sleep(0)
    assert [journal.append(frame(1), held=True), journal.append(frame(2), held=True)] == [1, 2]
    await asyncio.sleep(0)
    assert not waiting.done()
    journal.append(frame(3))
    await asyncio.wait_for(waiting, 1)
    assert [f.RuntimeFrame.FromString(data).position for data in await journal.read(0, MIB)] == [1, 2, 3]
    await journal.close()


async def test_a_held_frame_that_nothing_follows_is_heard_of_all_the_same(opened: Callable[[int], SpillFile]) -> None:
    journal = Journal(opened)
    waiting = asyncio.create_task(journal.wait(0))
    await asyncio.sleep(0)
    journal.append(frame(1), held=True)
    await asyncio.wait_for(waiting, 5)
    await journal.close()


@pytest.mark.parametrize("after", [1, 2**63])
async def test_the_future_cannot_be_read(opened: Callable[[int], SpillFile], after: int) -> None:
    with pytest.raises(PositionUnknown):
        await Journal(opened).read(after, MIB)
    assert journal_module.RING_BYTES <= 8 * MIB


BUFFERS = st.lists(st.binary(max_size=200), max_size=3)
OUTPUTS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 14), st.binary(max_size=300), st.binary(max_size=20), BUFFERS)


@settings(deadline=None)
@given(
    position=st.integers(1, 2**64 - 1),
    seq=st.integers(0, 2**64 - 1),
    cell=st.text(max_size=40),
    outputs=st.lists(OUTPUTS, max_size=5),
)
def test_frames_put_together_by_hand_are_what_protobuf_reads(position: int, seq: int, cell: str, outputs: list[tuple]) -> None:
    nonce = run_pb2.RunNonce(boot_id=b"b" * 16, kernel_epoch=seq // 2, seq=seq)
    pieces: list[bytes] = []
    expected = f.RuntimeFrame(position=position, outputs=f.OutputBatch(nonce=nonce, cell_id=cell))
    for index, kind, content, metadata, buffers in outputs:
        body = encoding.output_body(KernelMessage("stream", "", content, metadata, buffers))
        assert f.OutputBody.FromString(body) == f.OutputBody(content=content, metadata=metadata, buffers=buffers)
        pieces += encoding.output(index, kind, body)
        expected.outputs.outputs.add(index=index, kind=kind, body=body)  # type: ignore[arg-type]
    field = encoding.batch_field(encoding.batch_target(nonce, cell), pieces, sum(map(len, pieces)))
    assert f.RuntimeFrame.FromString(encoding.with_position(position, field)) == expected
