"""Runs over the real socket, with a real broker and real kernels."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from spin_runtime.broker.api import Attachment
from spin_runtime.kernels.jupyter import JupyterKernel
from spinapis.envelope.v1 import attach_pb2, receipt_pb2, run_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.runtime_rig import Rig, running

OK, ERROR = receipt_pb2.RUN_STATUS_OK, receipt_pb2.RUN_STATUS_ERROR
INTERRUPTED, ABORTED = receipt_pb2.RUN_STATUS_INTERRUPTED, receipt_pb2.RUN_STATUS_ABORTED


async def test_a_run_is_queued_runs_and_ends_with_receipts_around_it(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        nonce = await seat.submit("print('hello')\n1 + 1")
        state = await seat.ended(nonce)
        assert state.status == OK
        assert seat.text() == "hello\n"
        frames = [f.RuntimeFrame.FromString(data) for data in seat.stream]
        phases = [frame.run_state.phase for frame in frames if frame.run_state.nonce == nonce]
        assert phases == [f.RUN_PHASE_QUEUED, f.RUN_PHASE_RUNNING, f.RUN_PHASE_ENDED]
        if not seat.receipts or seat.receipts[-1].type != receipt_pb2.RECEIPT_TYPE_END:
            await seat.until(lambda _: seat.receipts[-1].type == receipt_pb2.RECEIPT_TYPE_END)
        mine = [receipt for receipt in seat.receipts if receipt.nonce.seq == nonce.seq]
        assert [receipt.type for receipt in mine] == [receipt_pb2.RECEIPT_TYPE_START, receipt_pb2.RECEIPT_TYPE_END]
        assert (mine[1].frames, mine[1].output_digest, mine[1].status) == (state.frames, state.output_digest, OK)


async def test_an_error_shows_its_traceback_and_stops_the_queued_runs_that_asked_for_it(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        failing = await seat.submit("import time; time.sleep(0.3); 1/0")
        aborted = await seat.submit("print('never')", stop_on_error=True)
        still = await seat.submit("print('anyway')")
        assert (await seat.ended(failing)).status == ERROR
        ends = {}
        await seat.until(lambda frame: _note_end(frame, ends) and len(ends) == 2)
        assert ends == {aborted.seq: ABORTED, still.seq: OK}
        assert "never" not in seat.text()
        assert "anyway" in seat.text()
        errors = [output for output in seat.outputs() if output.kind == f.OUTPUT_KIND_ERROR]
        assert json.loads(f.OutputBody.FromString(errors[0].body).content)["ename"] == "ZeroDivisionError"


def _note_end(frame: f.RuntimeFrame, ends: dict[int, int]) -> bool:
    if frame.run_state.phase == f.RUN_PHASE_ENDED:
        ends[frame.run_state.nonce.seq] = frame.run_state.status
    return True


async def test_one_run_at_a_time_in_the_order_sent(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        nonces = [await seat.submit(f"print({i})") for i in range(20)]
        await seat.ended(nonces[-1])
        assert seat.text() == "".join(f"{i}\n" for i in range(20))
        running = 0
        for data in seat.stream:
            phase = f.RuntimeFrame.FromString(data).run_state.phase
            running += (phase == f.RUN_PHASE_RUNNING) - (phase == f.RUN_PHASE_ENDED)
            assert running in (0, 1)


async def test_interrupt_ends_the_running_run_and_leaves_the_queue(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        endless = await seat.submit("while True: pass")
        after = await seat.submit("print('after')", stop_on_error=True)
        await seat.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_RUNNING)
        await asyncio.sleep(0.3)
        await seat.send(interrupt=f.Interrupt())
        assert (await seat.ended(endless)).status == INTERRUPTED
        assert (await seat.ended(after)).status == OK


async def test_interrupt_sent_at_once_is_not_lost(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        endless = await seat.submit("import time\nwhile True: time.sleep(0.01)")
        await seat.send(interrupt=f.Interrupt())
        assert (await seat.ended(endless)).status == INTERRUPTED


async def test_interrupt_can_clear_the_queue(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        endless = await seat.submit("while True: pass")
        waiting = await seat.submit("print('never')")
        await seat.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_RUNNING)
        await asyncio.sleep(0.3)
        await seat.send(interrupt=f.Interrupt(clear_queue=True))
        ends: dict[int, int] = {}
        await seat.until(lambda frame: _note_end(frame, ends) and len(ends) == 2)
        assert ends == {endless.seq: INTERRUPTED, waiting.seq: ABORTED}


async def test_a_queued_run_can_be_cancelled_and_a_running_one_cannot(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        slow = await seat.submit("import time; time.sleep(0.5)")
        waiting = await seat.submit("print('never')")
        await seat.send(cancel_queued=f.CancelQueued(nonce=waiting))
        assert (await seat.ended(waiting)).status == ABORTED
        await seat.send(cancel_queued=f.CancelQueued(nonce=slow))
        assert (await seat.body("error")).reason == reasons_pb2.ERROR_REASON_NOT_FOUND
        assert (await seat.ended(slow)).status == OK


async def test_restart_gives_a_new_epoch_and_refuses_what_was_compiled_before(rig: Rig) -> None:
    async with rig.attached() as seat:
        first = await seat.start_kernel()
        await seat.run("x = 1")
        stale, _ = seat.sealed("print(x)")
        running_one = await seat.submit("import time; time.sleep(60)")
        await seat.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_RUNNING)
        await seat.send(restart_kernel=f.RestartKernel())
        assert (await seat.ended(running_one)).status == INTERRUPTED
        await seat.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_IDLE and frame.kernel_state.kernel_epoch > first)
        await seat.send(sealed=stale)
        rejected = await seat.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_REJECTED)
        assert rejected.run_state.reason == reasons_pb2.ERROR_REASON_KERNEL_EPOCH_STALE
        assert (await seat.run("x")).status == ERROR


async def test_a_kernel_that_dies_ends_its_run_and_says_so(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        nonce = await seat.submit("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        waiting = await seat.submit("print('never')")
        ends: dict[int, int] = {}
        await seat.until(lambda frame: _note_end(frame, ends) and len(ends) == 2)
        assert ends == {nonce.seq: receipt_pb2.RUN_STATUS_KERNEL_DIED, waiting.seq: ABORTED}
        await seat.start_kernel()
        assert (await seat.run("1")).status == OK


async def test_output_over_the_limit_is_cut_visibly_and_the_run_goes_on(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        state = await seat.run("for i in range(20000): print('z' * 100)\nopen('done', 'w').write('yes')", limits=run_pb2.Limits(output_bytes=100_000))
        assert state.status == OK
        assert state.truncated
        cut = [output for output in seat.outputs() if output.kind == f.OUTPUT_KIND_TRUNCATED]
        assert len(cut) == 1
        assert json.loads(f.OutputBody.FromString(cut[0].body).content)["limit_bytes"] == 100_000
        assert len(seat.text()) <= 100_000
        assert (await seat.run("assert open('done').read() == 'yes'")).status == OK


async def test_wall_time_ends_a_run(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        state = await seat.run("while True: pass", limits=run_pb2.Limits(wall_ms=500))
        assert state.status == receipt_pb2.RUN_STATUS_LIMIT
        assert (await seat.run("1")).status == OK


async def test_memory_over_the_runs_limit_is_refused_to_the_code_and_free_again_afterwards(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        assert (await seat.run("b = bytearray(2_000_000_000)", limits=run_pb2.Limits(memory_bytes=1_000_000_000))).status == ERROR
        assert (await seat.run("b = bytearray(2_000_000_000); del b")).status == OK


async def test_output_after_the_end_is_shown_late_and_is_in_no_chain(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        code = "import threading, time\ndef late():\n    time.sleep(0.5)\n    print('late')\nthreading.Thread(target=late).start()"
        state = await seat.run(code)
        await seat.until(lambda _: "late" in seat.text())
        late = [output for output in seat.outputs() if b"late" in output.body and output.kind == f.OUTPUT_KIND_STREAM]
        assert [output.index for output in late] == [0]
        assert state.frames == max(output.index for output in seat.outputs())


async def test_completion_inspection_and_read_only_requests(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        await seat.run("alpha_beta = 'text'")
        await seat.send(complete=f.Complete(request_id=1, code="alpha_b", cursor=7))
        assert list((await seat.body("complete_reply")).matches) == ["alpha_beta"]
        await seat.send(inspect=f.Inspect(request_id=2, code="alpha_beta", cursor=10))
        reply = await seat.body("inspect_reply")
        assert reply.found and b"text" in reply.data_json
        await seat.send(kernel_request=f.KernelRequest(request_id=3, msg_type="is_complete_request", content_json=b'{"code": "for x in y:"}'))
        assert json.loads((await seat.body("kernel_reply")).content_json)["status"] == "incomplete"
        await seat.send(kernel_request=f.KernelRequest(request_id=4, msg_type="execute_request", content_json=b'{"code": "1"}'))
        error = await seat.body("error")
        assert (error.reason, error.request_id) == (reasons_pb2.ERROR_REASON_INVALID_ARGUMENT, 4)


async def test_completion_while_a_cell_runs_does_not_hold_up_an_interrupt(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        endless = await seat.submit("while True: pass")
        await seat.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_RUNNING)
        await asyncio.sleep(0.3)
        await seat.send(complete=f.Complete(request_id=1, code="pri", cursor=3))
        await seat.send(interrupt=f.Interrupt())
        assert (await seat.ended(endless)).status == INTERRUPTED


async def test_a_client_that_may_only_look_changes_nothing(rig: Rig) -> None:
    async with rig.attached() as owner, rig.attached(owner.person, scopes=[attach_pb2.SCOPE_VIEW]) as viewer:
        await owner.start_kernel()
        await viewer.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_IDLE)
        sealed, _ = viewer.sealed("print('no')")
        for body in (
            {"sealed": sealed},
            {"interrupt": f.Interrupt()},
            {"restart_kernel": f.RestartKernel()},
            {"stop_kernel": f.StopKernel()},
            {"complete": f.Complete(request_id=9, code="a", cursor=1)},
        ):
            await viewer.send(**body)
            error = await viewer.body("error")
            assert error.reason == reasons_pb2.ERROR_REASON_SCOPE_MISSING
            assert error.metadata["scope"] == "run"
        await owner.run("print('seen')")
        await viewer.until(lambda _: "seen" in viewer.text())


async def test_an_unknown_kernel_is_refused_with_the_installed_ones(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.send(start_kernel=f.StartKernel(kernel_name="cobol"))
        error = await seat.body("error")
        assert error.reason == reasons_pb2.ERROR_REASON_KERNEL_UNKNOWN
        assert "python3" in error.metadata["installed"]


async def test_a_stopped_kernel_says_by_what(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        await seat.send(stop_kernel=f.StopKernel())
        stopped = await seat.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_STOPPED)
        assert "Start it again" in stopped.kernel_state.message


async def test_an_idle_kernel_is_culled(tmp_path: Path) -> None:
    async with running(tmp_path, SPIN_IDLE_CULL_S="1") as rig, rig.attached() as seat:
        await seat.start_kernel()
        stopped = await seat.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_STOPPED)
        assert "without work" in stopped.kernel_state.message


async def test_a_tampered_program_gets_one_answer_without_details(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        sealed, _ = seat.sealed("print(1)")
        await seat.send(sealed=sealed[:-1] + bytes([sealed[-1] ^ 1]))
        error = await seat.body("error")
        assert error.reason == reasons_pb2.ERROR_REASON_OPEN_FAILED
        assert not error.metadata


async def test_a_graceful_stop_interrupts_the_run_keeps_its_receipt_and_says_goodbye(tmp_path: Path) -> None:
    async with running(tmp_path, SPIN_STOP_GRACE_S="0") as rig, rig.attached() as seat:
        await seat.start_kernel()
        nonce = await seat.submit("while True: pass")
        waiting = await seat.submit("print('never')")
        await seat.until(lambda frame: frame.run_state.phase == f.RUN_PHASE_RUNNING)
        await asyncio.sleep(0.3)
        stopping = asyncio.create_task(rig.runtime.stop())
        ends: dict[int, int] = {}
        await seat.until(lambda frame: _note_end(frame, ends) and len(ends) == 2)
        assert ends == {waiting.seq: ABORTED, nonce.seq: INTERRUPTED}
        error = await seat.body("error")
        assert (error.reason, error.fatal) == (reasons_pb2.ERROR_REASON_DRAINING, True)
        await stopping


@pytest.mark.parametrize("frame", ["hello", "auth"])
async def test_frames_of_the_handshake_are_refused_after_it(rig: Rig, frame: str) -> None:
    async with rig.attached() as seat:
        await seat.send(**({"client_hello": f.ClientHello()} if frame == "hello" else {"client_auth": f.ClientAuth()}))
        error = await seat.body("error")
        assert (error.reason, error.fatal) == (reasons_pb2.ERROR_REASON_PROTOCOL_VIOLATION, True)


async def test_a_kernel_starts_although_its_asker_left(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.send(start_kernel=f.StartKernel())
        await seat.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_STARTING)
    async with rig.attached(seat.person) as again:
        await again.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_IDLE)
        assert (await again.run("1")).status == OK


async def test_a_client_that_vanishes_while_its_program_is_admitted_leaves_nothing_open(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    broker: Any = rig.runtime._broker
    admitted, answer, opens = asyncio.Event(), asyncio.Event(), broker.open_sealed

    async def slow(*arguments: Any) -> Any:
        opened = await opens(*arguments)
        admitted.set()
        await answer.wait()
        return opened

    async with rig.attached() as seat:
        await seat.start_kernel()
        monkeypatch.setattr(broker, "open_sealed", slow)
        sealed, nonce = seat.sealed("print('ran')")
        (session,) = rig.sessions
        attachment = Attachment(next(iter(broker._clients._attached)), session.session_id, frozenset(), 0)
        client = asyncio.create_task(session.open(sealed, attachment))
        try:
            await asyncio.wait_for(admitted.wait(), 10)
            client.cancel()
        finally:
            answer.set()
        assert (await seat.ended(nonce)).status == OK
    assert not broker._runs._runs


async def test_whoever_was_attached_for_a_day_attaches_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spin_runtime.broker.clients.ATTACHED_MS", 300)
    async with running(tmp_path) as rig, rig.attached() as seat:
        with pytest.raises(TypeError, match="8:1000"):  # no frame: the end
            await seat.until(lambda _: False)
        assert seat.socket.closed


LEFT_BEHIND = """
import os
for name in ("spin_kernel", "ipykernel", "rfc8785", "threading"):
    os.makedirs(name, exist_ok=True)
    with open(name + "/__init__.py", "w") as file:
        file.write("import pathlib; pathlib.Path('came').touch(); raise SystemExit")
with open("helper.py", "w") as file:
    file.write("said = 'a module of the notebook'")
"""


async def test_files_of_a_notebook_are_not_imported_in_place_of_what_is_installed(rig: Rig) -> None:
    """Who may not use a connection would else have code of theirs in the next kernel, before anybody's program, and in nobody's name."""
    async with rig.attached() as seat:
        first = await seat.start_kernel()
        assert (await seat.run(LEFT_BEHIND)).status == OK
        await seat.send(restart_kernel=f.RestartKernel())
        await seat.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_IDLE and frame.kernel_state.kernel_epoch > first)
        text = await seat.printed("import os, rfc8785, helper; print(os.path.exists('came'), helper.said)")
        assert text == "False a module of the notebook\n"


PUT_A_PIPE = """
import os
from pathlib import Path
import ipykernel.connect
box = Path(ipykernel.connect.get_connection_file()).parent
(box / "stderr").unlink()
os.mkfifo(box / "stderr")
"""


async def test_the_server_waits_for_no_pipe_that_a_kernel_put_where_its_errors_were(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        await seat.run(PUT_A_PIPE)
        kernel = rig.sessions.open(seat.person.session_id).kernel
        assert isinstance(kernel, JupyterKernel)
        assert await asyncio.wait_for(asyncio.to_thread(kernel.error_tail), 30) == ""
