"""The client asks for the proof that the log continues what the runtime has seen, checks it, and hands it on."""

import asyncio
import re

import pytest

from spin_client.sdk import RunState, SpinError
from spin_envelope.keys import SigningKey
from spin_envelope.note import open_note, origin_of
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from tests.client.conftest import Bench
from tests.client.test_runtime_session import cell, ran


def grow(bench: Bench, entries: int) -> None:
    for index in range(entries):
        bench.control_plane.append("test.entry", {"index": index})


def sees(bench: Bench) -> None:
    """The runtime holds the log as it is now."""
    bench.runtime.checkpoint = bench.control_plane.checkpoint(bench.workspace_id)[0].encode()


def proofs(bench: Bench) -> list[frames_pb2.LogProof]:
    return [frame.trust_documents.log_proof for frame in bench.runtime.received if frame.trust_documents.HasField("log_proof")]


@pytest.fixture
def seen(bench: Bench) -> Bench:
    """A runtime that holds a checkpoint of five entries, and a log that has grown since."""
    bench.control_plane.log.clear()
    grow(bench, 5)
    sees(bench)
    grow(bench, 4)
    return bench


async def refused(bench: Bench) -> SpinError:
    """What a person is told who attaches and runs a cell."""
    with pytest.raises(SpinError) as told:
        async with await bench.open() as session:
            _, final = await ran(session, "print('never')")
            raise SpinError(final.reason, final.message)
    return told.value


async def test_a_log_that_has_grown_is_proved_before_the_first_program(seen: Bench) -> None:
    async with await seen.open() as session:
        assert (await ran(session, "print('fine')"))[1].ok
    kinds = [frame.WhichOneof("body") for frame in seen.runtime.received]
    assert kinds.index("trust_documents") < kinds.index("sealed")
    (proof,) = proofs(seen)
    note = open_note(proof.note, [seen.control_plane.signers.audit.verify_key], origin_of(bytes.fromhex(seen.workspace_id)))
    assert (proof.from_size, note.size) == (5, 9)


async def test_each_attachment_brings_a_proof(seen: Bench) -> None:
    async with await seen.open() as session:
        await ran(session, "print('fine')")
        assert await session.settle()
        sees(seen)
        held = len(seen.control_plane.log)
        grow(seen, 1)
        await seen.runtime.cut()
        await ran(session, "print('again')")
    assert [proof.from_size for proof in proofs(seen)] == [5, held]


async def test_a_runtime_without_a_checkpoint_needs_none(bench: Bench) -> None:
    grow(bench, 3)
    async with await bench.open() as session:
        assert (await ran(session, "print('fine')"))[1].ok
    assert proofs(bench) == []


async def test_a_log_rewritten_whole_ends_the_session(seen: Bench) -> None:
    del seen.control_plane.log[:]
    grow(seen, 20)
    error = await refused(seen)
    assert error.reason == "LOG_REFUSED"
    # Whatever else is noted meanwhile makes it longer.
    assert f"spin/{seen.workspace_id}" in error.text and re.search("5 entries then, 2[0-9] now", error.text) and "rewritten" in error.text
    assert "Run nothing" in error.hint
    assert proofs(seen) == [] and not any(frame.HasField("sealed") for frame in seen.runtime.received)


async def test_a_log_cut_short_ends_the_session(seen: Bench) -> None:
    del seen.control_plane.log[3:]
    error = await refused(seen)
    assert error.reason == "LOG_REFUSED" and "5 entries then, fewer now" in error.text


async def test_a_log_signed_by_another_than_audit_ends_the_session(seen: Bench) -> None:
    honest, seen.control_plane.signers.audit = seen.control_plane.signers.audit, SigningKey.generate()
    error = await refused(seen)
    assert error.reason == "LOG_REFUSED" and "not signed" in error.text
    seen.control_plane.signers.audit = honest


async def test_a_checkpoint_under_a_retired_key_of_audits(seen: Bench) -> None:
    seen.control_plane.signers.rotate("audit")
    async with await seen.open() as session:
        assert (await ran(session, "print('fine')"))[1].ok
    assert len(proofs(seen)) == 1


async def test_an_audit_service_that_is_away_stops_neither_stream_nor_receipts(seen: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spin_client.sdk.witness._FIRST_PAUSE_S", 0.01)
    asked = seen.control_plane.door.calls
    seen.control_plane.proof_unavailable = True
    async with await seen.open() as session:
        # Whether this may run is the runtime's decision.
        assert (await ran(session, "print('fine')"))[0] == "fine\n"
        assert await session.settle() and proofs(seen) == []
        seen.control_plane.proof_unavailable = False
        async with asyncio.timeout(10):
            while not proofs(seen):
                await asyncio.sleep(0.01)
    assert len([1 for call, _ in asked if call.endswith("GetConsistencyProof")]) > 1


async def test_a_refusal_for_want_of_a_proof_attaches_again(seen: Bench) -> None:
    async with await seen.open() as session:
        seen.runtime.reject_next = reasons_pb2.ERROR_REASON_LOG_UNPROVEN
        text, final = await ran(session, "print('after all')")
        assert (text, final.ok) == ("after all\n", True)
    assert len(proofs(seen)) == 2


async def test_a_proof_that_came_second_is_fetched_anew(seen: Bench) -> None:
    """Another client's proof was there first: the runtime says so in answer to ours, and stays otherwise as it is."""
    async with await seen.open() as session:
        await ran(session, "print('one')")
        late = frames_pb2.Error(reason=reasons_pb2.ERROR_REASON_LOG_UNPROVEN, message="attach again")
        (socket,) = seen.runtime.sockets
        await seen.runtime._send(socket, frames_pb2.RuntimeFrame(error=late))
        async with asyncio.timeout(10):
            while len(proofs(seen)) < 2:
                await asyncio.sleep(0.01)
        assert (await ran(session, "print('two')"))[0] == "two\n"


async def test_a_running_cell_learns_that_the_log_was_rewritten(seen: Bench) -> None:
    async with await seen.open() as session:
        run = await session.start(cell("await pause(60)"))
        del seen.control_plane.log[:]
        grow(seen, 20)
        await seen.runtime.cut()
        finals = [event async for event in run if isinstance(event, RunState) and event.final]
        assert finals[0].reason == "LOG_REFUSED"
        with pytest.raises(SpinError) as told:
            await session.start(cell("print('never')"))
        assert told.value.reason == "LOG_REFUSED"
