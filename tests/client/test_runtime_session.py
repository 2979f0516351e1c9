"""Running cells through the whole handshake, against a runtime that misbehaves on request."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from spin_client.sdk import InputRequest, Kind, NotebookOutputs, Output, RunState, RuntimeSession, SpinError, Status
from spin_client.sdk.run import Run
from spinapis.envelope.v1 import run_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import notebooks_pb2
from tests.client.conftest import Bench


def cell(source: str, cell_id: str = "cell-0") -> notebooks_pb2.Cell:
    return notebooks_pb2.Cell(id=cell_id, cell_type="python", source=source)


async def ran(session: RuntimeSession, source: str, **flags: bool) -> tuple[str, RunState]:
    """The text that a cell printed, and how it ended."""
    text, final = "", None
    async for event in session.run(cell(source), **flags):
        if isinstance(event, Output) and event.kind is Kind.STREAM:
            text += event.content["text"]
        if isinstance(event, RunState) and event.final:
            final = event
    assert final is not None
    return text, final


async def test_a_cell_runs_and_variables_stay(bench: Bench) -> None:
    async with await bench.open() as session:
        text, final = await ran(session, "x = 20\nprint('hello', x)")
        assert (text, final.ok) == ("hello 20\n", True)
        assert (await ran(session, "print(x + 1)"))[0] == "21\n"
        assert session.warnings == ("Outbound TLS is not verified.",)


async def test_an_error_ends_the_run_with_its_status(bench: Bench) -> None:
    async with await bench.open() as session:
        _, final = await ran(session, "1 / 0")
        assert final.status is Status.ERROR and not final.ok


async def test_receipts_reach_audit_and_acknowledgements_the_runtime(bench: Bench) -> None:
    async with await bench.open() as session:
        await ran(session, "print('a')")
        assert await session.settle()
        assert bench.control_plane.receipts == bench.runtime.receipts
        assert len(next(iter(bench.control_plane.outputs.values()))) == 5
    assert bench.runtime.acks[-1].up_to_seq == 2


async def test_a_cell_waits_for_credentials_only_if_it_uses_some(bench: Bench) -> None:
    bench.control_plane.credentials_may_come.clear()
    async with await bench.open() as session:
        assert (await ran(session, "print('plain')"))[1].ok
        bench.control_plane.min_bundle_version = 1
        using = asyncio.create_task(ran(session, "print('with a connection')"))
        while len(bench.control_plane.compiled) < 2:
            await asyncio.sleep(0)
        assert (await session.complete("pri", 3)) is not None and not using.done()
        bench.control_plane.credentials_may_come.set()
        assert (await using)[1].ok


async def test_short_cells_that_follow_one_another_travel_together(bench: Bench) -> None:
    async with await bench.open() as session:
        for number in range(12):
            await ran(session, f"print({number})")
        assert await session.settle()
    assert [len(kept) for kept in bench.control_plane.outputs.values()] == [5] * 12
    assert sum(bench.control_plane.output_calls) < 24 and max(bench.control_plane.output_calls) > 1
    assert bench.control_plane.receipts == bench.runtime.receipts


async def test_a_run_whose_outputs_are_refused_takes_no_other_with_it(bench: Bench) -> None:
    bench.control_plane.outputs_refused = {2}
    async with await bench.open() as session:
        for number in range(4):
            await ran(session, f"print({number})")
        assert await session.settle()
    assert sorted(seq for _, _, seq in bench.control_plane.outputs) == [1, 3, 4]
    assert all(len(kept) == 5 for kept in bench.control_plane.outputs.values())


async def test_a_cut_connection_neither_loses_nor_repeats_output(bench: Bench) -> None:
    async with await bench.open() as session:
        run = await session.start(cell("for i in range(60):\n    await show(f'{i} ')\n    await pause(0.01)"))
        seen: list[str] = []
        async for event in run:
            if isinstance(event, Output) and event.kind is Kind.STREAM:
                seen.append(event.content["text"])
                if len(seen) in (10, 30):
                    await bench.runtime.cut()
        assert seen == [f"{i} " for i in range(60)]


async def test_a_stream_that_the_runtime_no_longer_keeps_is_taken_up_where_it_begins(bench: Bench) -> None:
    async with await bench.open() as session:
        run = await session.start(cell("for i in range(20):\n    await show(f'{i} ')\n    await pause(0.01)"))
        seen: list[str] = []
        async for event in run:
            if isinstance(event, Output) and event.kind is Kind.STREAM:
                seen.append(event.content["text"])
                if len(seen) == 5:
                    (socket,) = bench.runtime.sockets
                    bench.runtime.sockets[socket] = -1  # sends no more of the stream
                    gone = frames_pb2.Error(reason=reasons_pb2.ERROR_REASON_POSITION_UNKNOWN, message="no longer kept")
                    await bench.runtime._send(socket, frames_pb2.RuntimeFrame(error=gone))
        assert seen == [f"{i} " for i in range(20)]


async def test_a_program_that_was_lost_on_the_way_is_sent_again(bench: Bench) -> None:
    async with await bench.open() as session:
        await session.start_kernel()
        bench.runtime.drop_next_sealed = True
        run = await session.start(cell("print('once')"))
        await asyncio.sleep(0.05)
        await bench.runtime.cut()
        finals = [event async for event in run if isinstance(event, RunState) and event.final]
        assert [final.ok for final in finals] == [True]
        assert len([frame for frame in bench.runtime.received if frame.HasField("sealed")]) == 2


async def test_a_program_that_arrived_is_not_sent_again(bench: Bench) -> None:
    async with await bench.open() as session:
        run = await session.start(cell("await pause(0.2)"))
        await asyncio.sleep(0.05)
        await bench.runtime.cut()
        assert [event.ok async for event in run if isinstance(event, RunState) and event.final] == [True]
        assert len([frame for frame in bench.runtime.received if frame.HasField("sealed")]) == 1


async def test_a_run_that_died_with_the_runtime_is_reported_lost(bench: Bench) -> None:
    async with await bench.open() as session:
        run = await session.start(cell("await pause(60)"))
        await asyncio.sleep(0.05)
        bench.runtime.boot()
        await bench.runtime.cut()
        finals = [event async for event in run if isinstance(event, RunState) and event.final]
        assert finals[0].status is Status.LOST
        assert "restarted" in finals[0].message


async def test_input_is_asked_for_and_answered(bench: Bench) -> None:
    async with await bench.open() as session:
        run = await session.start(cell("print(await ask('name? '))"), allow_stdin=True)
        text = ""
        async for event in run:
            if isinstance(event, InputRequest):
                assert event.prompt == "name? "
                await session.reply(event, "Ada")
            elif isinstance(event, Output) and event.kind is Kind.STREAM:
                text += event.content["text"]
        assert text == "Ada\n"


def missed_nothing(_: Run) -> list[frames_pb2.RuntimeFrame]:
    return []


def missed_an_output(run: Run) -> list[frames_pb2.RuntimeFrame]:
    """As a thread of the same run writes one, which says nothing of the answer."""
    body = frames_pb2.OutputBody(content=b'{"name": "stderr", "text": ""}', metadata=b"{}").SerializeToString()
    output = frames_pb2.Output(kind=frames_pb2.OUTPUT_KIND_STREAM, body=body)
    return [frames_pb2.RuntimeFrame(outputs=frames_pb2.OutputBatch(nonce=run.nonce, cell_id=run.cell_id, outputs=[output]))]


def missed_another_run(run: Run) -> list[frames_pb2.RuntimeFrame]:
    nonce = run_pb2.RunNonce(boot_id=run.nonce.boot_id, kernel_epoch=run.nonce.kernel_epoch, seq=run.nonce.seq + 1)
    return [frames_pb2.RuntimeFrame(run_state=frames_pb2.RunState(nonce=nonce, cell_id="theirs", phase=frames_pb2.RUN_PHASE_QUEUED))]


Missed = Callable[[Run], list[frames_pb2.RuntimeFrame]]


async def lost(bench: Bench) -> None:
    """Returns when the answer was, on its way."""
    while bench.runtime.drop_next_input:
        await asyncio.sleep(0.01)


def answers_of(bench: Bench) -> list[str]:
    return [frame.input_reply.value for frame in bench.runtime.received if frame.HasField("input_reply")]


@pytest.mark.parametrize("missed", [missed_nothing, missed_an_output, missed_another_run])
async def test_an_answer_that_was_lost_on_the_way_is_sent_again_over_the_next_attachment(bench: Bench, missed: Missed) -> None:
    async with await bench.open() as session, asyncio.TaskGroup() as replies:
        run = await session.start(cell("await show('before ')\nawait show(await ask('name? '))\nawait pause(60)"), allow_stdin=True)
        bench.runtime.drop_next_input = True
        text = ""
        async for event in run:
            if isinstance(event, InputRequest):
                replies.create_task(session.reply(event, "Ada"))
                await lost(bench)
                await bench.runtime.cut()
                for frame in missed(run):
                    await bench.runtime.emit(frame)
            elif isinstance(event, Output) and event.kind is Kind.STREAM:
                text += event.content["text"]
                if text == "before Ada":
                    # The run went on: nothing of the answer is kept for yet another attachment.
                    await bench.runtime.cut()
                    while len([frame for frame in bench.runtime.received if frame.HasField("resume")]) < 3:
                        await asyncio.sleep(0.01)
                    await session.interrupt()
        await session.complete("pri", 3)
        assert text == "before Ada"
        assert answers_of(bench) == ["Ada", "Ada"]


async def ends(bench: Bench, session: RuntimeSession) -> None:
    await session.interrupt()


async def boots(bench: Bench, session: RuntimeSession) -> None:
    bench.runtime.boot()
    await bench.runtime.cut()


@pytest.mark.parametrize("over", [ends, boots])
async def test_an_answer_does_not_outlive_its_run(bench: Bench, over: Callable[[Bench, RuntimeSession], Awaitable[None]]) -> None:
    async with await bench.open() as session, asyncio.TaskGroup() as replies:
        run = await session.start(cell("await ask('word? ')"), allow_stdin=True)
        bench.runtime.drop_next_input = True
        async for event in run:
            if isinstance(event, InputRequest):
                replies.create_task(session.reply(event, "secret"))
                await lost(bench)
                await over(bench, session)
        await bench.runtime.cut()
        await session.start_kernel()
        await session.complete("pri", 3)
        assert answers_of(bench) == ["secret"]


async def test_a_refused_answer_is_told_to_whoever_gave_it_and_not_sent_again(bench: Bench) -> None:
    async with await bench.open() as session:
        run = await session.start(cell("await show(await ask('word? '))"), allow_stdin=True)
        bench.runtime.refuse_next_input = True
        async for event in run:
            if isinstance(event, InputRequest):
                with pytest.raises(SpinError, match="Whoever ran this cell") as caught:
                    await session.reply(event, "secret")
                assert caught.value.reason == "INPUT_REFUSED" and "spinctl session take" in caught.value.hint
                await bench.runtime.cut()
                await session.complete("pri", 3)
                await session.interrupt()
        assert answers_of(bench) == ["secret"]


async def test_an_answer_of_which_nothing_is_heard_does_not_hold_its_giver_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spin_client.sdk.answers.REFUSED_WITHIN_S", 0.05)
    async with await bench.open() as session:
        run = await session.start(cell("await ask('word? ')\nawait pause(60)"), allow_stdin=True)
        async for event in run:
            if isinstance(event, InputRequest):
                await session.reply(event, "quiet")
                await session.interrupt()


async def test_whoever_was_removed_is_told_when_the_attachment_ends_and_asks_no_more(bench: Bench) -> None:
    async with await bench.open() as session:
        run = await session.start(cell("await pause(60)"))
        bench.control_plane.member_removed = True
        asked = bench.control_plane.capabilities_asked
        await bench.runtime.cut()
        final = [event async for event in run][-1]
        assert isinstance(final, RunState) and (final.status, final.reason) == (Status.LOST, "NOT_FOUND")
        assert "may not see it" in final.message
        with pytest.raises(SpinError, match="may not see it"):
            await session.complete("pri", 3)
        assert bench.control_plane.capabilities_asked == asked + 1


async def test_a_runtime_that_is_enrolled_elsewhere_is_refused(bench: Bench) -> None:
    """The enrolment is auth's and the runtime is the one that was asked for; its workspace has nothing to do with this one."""
    bench.control_plane.runtimes[bench.registered.id].workspace_id = "ab" * 16
    notebook = bench.notebook("pass")
    elsewhere = bench.control_plane.add_workspace()
    request = notebooks_pb2.OpenSessionRequest(workspace_id=bench.workspace_id, notebook_id=notebook.id)
    session = (await bench.platform.sessions.OpenSession(request)).session
    session.workspace_id = elsewhere.id
    with pytest.raises(SpinError, match="does not share its runtimes") as caught:
        await RuntimeSession.of(bench.platform, session)
    assert caught.value.reason == "TRUST_REFUSED"


async def test_interrupt_ends_the_run(bench: Bench) -> None:
    async with await bench.open() as session:
        run = await session.start(cell("await pause(60)"))
        await asyncio.sleep(0.05)
        await session.interrupt()
        assert [event.status async for event in run if isinstance(event, RunState) and event.final] == [Status.INTERRUPTED]


async def test_restart_gives_a_new_kernel(bench: Bench) -> None:
    async with await bench.open() as session:
        await ran(session, "x = 1")
        before = session.kernel.kernel_epoch
        assert (await session.restart()).kernel_epoch > before
        assert (await ran(session, "x"))[1].status is Status.ERROR


async def test_an_unknown_kernel_is_said_with_the_runtimes_words(bench: Bench) -> None:
    async with await bench.open() as session:
        with pytest.raises(SpinError, match="installed: python3") as caught:
            await session.start_kernel("cobol")
        assert caught.value.reason == "KERNEL_UNKNOWN"


async def test_requests_to_the_kernel_are_answered(bench: Bench) -> None:
    async with await bench.open() as session:
        assert list((await session.complete("pri", 3)).matches) == ["print"]
        assert (await session.inspect("print", 5)).found
        kind, content = await session.kernel_request("history_request", {"n": 3})
        assert kind == "history_reply" and content["asked"] == {"n": 3}


async def test_stale_trust_is_renewed_and_the_cell_runs_once_more(bench: Bench) -> None:
    async with await bench.open() as session:
        bench.runtime.reject_next = reasons_pb2.ERROR_REASON_TRUST_EXPIRED
        text, final = await ran(session, "print('after all')")
        assert (text, final.ok) == ("after all\n", True)
        assert any(frame.HasField("trust_documents") for frame in bench.runtime.received)


async def test_a_replay_refusal_is_final(bench: Bench) -> None:
    async with await bench.open() as session:
        bench.runtime.reject_next = reasons_pb2.ERROR_REASON_REPLAY_REFUSED
        _, final = await ran(session, "print('never')")
        assert (final.reason, final.ok) == ("REPLAY_REFUSED", False)


async def test_a_second_client_sees_the_whole_stream(bench: Bench) -> None:
    async with await bench.open() as session:
        await ran(session, "print('first')")
        second = await RuntimeSession.attach(bench.platform, bench.workspace_id, session.session.id)
        folded = NotebookOutputs()
        second.watch(lambda key, event: folded.apply(event) and None if isinstance(event, Output) else None)
        await asyncio.sleep(0.1)
        await second.close()
        assert folded.cells["cell-0"].as_nbformat() == [{"output_type": "stream", "name": "stdout", "text": "first\n"}]


async def test_a_host_with_another_key_is_refused(bench: Bench) -> None:
    bench.runtime.impostor = True
    with pytest.raises(SpinError, match="does not hold the enrolled runtime's key") as caught:
        await bench.open()
    assert caught.value.reason == "TRUST_REFUSED"


async def test_a_runtime_that_is_away_is_said_after_the_patience(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spin_client.sdk.socket.PATIENCE_S", 0.3)
    bench.registered.url = "http://localhost:9"
    bench.control_plane.runtimes[bench.registered.id].url = "http://localhost:9"
    with pytest.raises(SpinError, match="cannot reach the runtime") as caught:
        await bench.open()
    assert caught.value.unreachable
