"""`spinctl run`: what is shown, what is saved, and the exit status."""

import json
from pathlib import Path

from tests.client.conftest import Bench, Spinctl


async def test_outputs_are_streamed_and_all_ok_is_0(signed_in: Spinctl, bench: Bench) -> None:
    bench.notebook("print('one')", "print('two')")
    ran = await signed_in("run", "Notebook")
    assert (ran.status, ran.out) == (0, "one\ntwo\n")
    assert "2 of 2 cells ok" in ran.err
    assert bench.control_plane.receipts == bench.runtime.receipts


async def test_an_error_is_shown_and_stops_the_rest(signed_in: Spinctl, bench: Bench) -> None:
    bench.notebook("1 / 0", "print('never')")
    ran = await signed_in("run", "Notebook")
    assert ran.status == 1
    assert "ZeroDivisionError" in ran.out and "never" not in ran.out
    assert "0 of 2 cells ok, failed: cell-0, 1 skipped" in ran.err


async def test_keep_going_skips_the_linked_and_runs_the_next(signed_in: Spinctl, bench: Bench) -> None:
    bench.notebook("1 / 0", "print('linked')", "print('free')", linked=(1,))
    ran = await signed_in("run", "Notebook", "--keep-going", "--json")
    assert ran.status == 1
    assert ran.lines()[-1] == {"event": "finished", "ok": False, "cells": {"cell-0": "failed", "cell-1": "skipped", "cell-2": "ok"}}


async def test_parameters_reach_the_code(signed_in: Spinctl, bench: Bench) -> None:
    notebook = bench.notebook("host = 'a'; n = 1", "print(host, n + 1)")
    notebook.cells[0].metadata_json = json.dumps({"tags": ["parameters"]})
    ran = await signed_in("run", "Notebook", "-p", "host=web'1", "-p", "n=41")
    assert (ran.status, ran.out) == (0, "web'1 42\n")
    assert (await signed_in("run", "Notebook", "-p", "import=1")).status == 2
    assert (await signed_in("run", "Notebook", "-p", "nothing")).status == 2


async def test_a_local_file_is_run_and_gets_its_outputs(signed_in: Spinctl, bench: Bench, tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "id": "a", "source": "print('local')", "metadata": {}, "outputs": [], "execution_count": None}]
    file = tmp_path / "check.ipynb"
    file.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    ran = await signed_in("run", str(file), "--save")
    assert (ran.status, ran.out) == (0, "local\n")
    assert bench.control_plane.saved_outputs["a"] == [{"output_type": "stream", "name": "stdout", "text": "local\n"}]


async def test_json_lines_tell_everything(signed_in: Spinctl, bench: Bench) -> None:
    bench.notebook("print('x')")
    events = (await signed_in("run", "Notebook", "--json")).lines()
    assert [e["event"] for e in events] == ["cell_started", "output", "output", "cell_finished", "finished"]
    assert events[1] == {"event": "output", "cell_id": "cell-0", "kind": "stream", "content": {"name": "stdout", "text": "x\n"}}


async def test_a_cell_that_does_not_compile_counts_as_failed(signed_in: Spinctl, bench: Bench) -> None:
    bench.notebook("print(")
    bench.control_plane.broken_cells["cell-0"] = {"1:7": "'(' was never closed"}
    ran = await signed_in("run", "Notebook")
    assert ran.status == 1 and "'(' was never closed" in ran.err


async def test_a_runtime_that_is_away_is_3(signed_in: Spinctl, bench: Bench, monkeypatch: object) -> None:
    bench.notebook("1")
    bench.control_plane.runtimes[bench.registered.id].url = "http://localhost:9"
    monkeypatch.setattr("spin_client.sdk.socket.PATIENCE_S", 0.2)  # type: ignore[attr-defined]
    ran = await signed_in("run", "Notebook")
    assert ran.status == 3 and "http://localhost:9" in ran.err


async def test_the_kernel_that_was_started_here_is_stopped_here(signed_in: Spinctl, bench: Bench) -> None:
    bench.notebook("x = 1")
    await signed_in("run", "Notebook")
    assert any(frame.HasField("stop_kernel") for frame in bench.runtime.received)
    assert next(iter(bench.control_plane.sessions.values())).ended_at_ms > 0
