"""What a person asks of a kernel while a cell runs in it: completion, inspection, the kernel's state."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from spin_runtime.kernels import jupyter
from spin_runtime.kernels.api import Execute, KernelMessage
from spin_runtime.kernels.jupyter import JupyterKernel
from spin_runtime.kernels.pool import JupyterPool
from tests.fakes.launched import LaunchedPool


@pytest.fixture
async def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JupyterPool]:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    pool = LaunchedPool(dict(os.environ), tmp_path / "work", spares=0)
    await pool.begin()
    yield pool
    await pool.close()


@pytest.fixture
async def kernel(pool: JupyterPool, tmp_path: Path) -> AsyncIterator[JupyterKernel]:
    kernel = await pool.take("python3", tmp_path / "work" / "a")
    yield kernel
    await kernel.stop()


class Cell:
    """A cell that was sent, with what came of it."""

    def __init__(self, kernel: JupyterKernel) -> None:
        self.kernel, self.messages, self.strangers = kernel, list[KernelMessage](), list[KernelMessage]()
        self.msg_id, self.done, self.printing = "", asyncio.Event(), asyncio.Event()
        kernel.subscribe(self.sink)

    def sink(self, group: Sequence[KernelMessage]) -> None:
        for message in group:
            (self.messages if message.parent == self.msg_id else self.strangers).append(message)
            if message.msg_type == "stream":
                self.printing.set()
            if message.msg_type == "status" and b"idle" in message.content and message.parent == self.msg_id:
                self.done.set()

    async def begun(self, code: str) -> "Cell":
        self.msg_id = await self.kernel.execute(Execute(code))
        await asyncio.wait_for(self.printing.wait(), 30)
        return self

    async def ended(self) -> str:
        """What it printed."""
        await asyncio.wait_for(self.done.wait(), 30)
        return "".join(json.loads(message.content)["text"] for message in self.messages if message.msg_type == "stream")


async def test_answers_come_while_a_cell_sleeps(kernel: JupyterKernel) -> None:
    cell = await Cell(kernel).begun("import time\nalphabet = 'abc'\nprint('in', flush=True)\ntime.sleep(60)")
    completion = await kernel.complete("alphabet.uppe", 13)
    assert completion["matches"] == ["upper"] or ".upper" in completion["matches"]
    inspection = await kernel.inspect("alphabet", 8, 0)
    assert inspection["found"] is True
    assert "abc" in json.dumps(inspection["data"])
    for msg_type, content in (
        ("kernel_info_request", b"{}"),
        ("is_complete_request", b'{"code": "for x in y:"}'),
        ("history_request", b'{"hist_access_type": "tail", "n": 5, "output": false, "raw": true}'),
        ("comm_info_request", b"{}"),
    ):
        reply_type, reply = await asyncio.wait_for(kernel.request(msg_type, content), 30)
        assert (reply_type, json.loads(reply)["status"] in ("ok", "incomplete")) == (msg_type.replace("request", "reply"), True)
    assert not cell.done.is_set()
    await kernel.interrupt()
    await cell.ended()
    assert cell.strangers == []


async def test_answers_come_while_a_cell_computes(kernel: JupyterKernel) -> None:
    cell = await Cell(kernel).begun("print('in', flush=True)\nwhile True: sum(range(1000))")
    await asyncio.wait_for(kernel.complete("impor", 5), 30)
    assert not cell.done.is_set()
    await kernel.interrupt()
    await cell.ended()


async def test_many_questions_at_once_are_answered_beside_the_cell(kernel: JupyterKernel) -> None:
    cell = await Cell(kernel).begun("import threading, time\nprint('in', flush=True)\ntime.sleep(60)")
    answers = await asyncio.wait_for(asyncio.gather(*(kernel.complete("thr", 3) for _ in range(20))), 30)
    assert all("threading" in answer["matches"] for answer in answers)
    await kernel.interrupt()
    await cell.ended()


async def test_what_an_inspection_prints_stands_in_no_cell(kernel: JupyterKernel) -> None:
    code = "class Loud:\n    def __repr__(self):\n        print('heard')\n        return 'loud'\nloud = Loud()\nprint('in', flush=True)"
    cell = await Cell(kernel).begun(code)
    await cell.ended()
    assert "loud" in json.dumps((await kernel.inspect("loud", 4, 0))["data"])
    # Messages of one channel stay in order: after the next cell's, no print of before is still to come.
    after = Cell(kernel)
    await after.begun("print('in', flush=True)")
    assert await after.ended() == "in\n"
    assert after.strangers == cell.strangers == []


async def test_what_a_cells_threads_print_stays_with_the_cell(kernel: JupyterKernel) -> None:
    """ipykernel by itself gives it to whatever request came last."""
    code = """
import sys, threading, time
def work():
    for number in range(40):
        print(number)
        time.sleep(0.03)
print("in", flush=True)
thread = threading.Thread(target=work)
thread.start()
thread.join()
parent = get_ipython().kernel.get_parent()["header"]["msg_type"]
other = []
thread = threading.Thread(target=lambda: other.append(get_ipython().kernel.get_parent()["header"]["msg_type"]))
thread.start(); thread.join()
print(parent, *other)
"""
    cell = await Cell(kernel).begun(code)
    while not cell.done.is_set():
        await kernel.complete("thr", 3)
        await asyncio.sleep(0.02)
    lines = (await cell.ended()).split("\n")
    assert {str(number) for number in range(40)} <= set(lines)
    assert lines[-2] == "execute_request execute_request"
    assert cell.strangers == []


async def test_threads_that_outlive_their_cell_are_still_heard(kernel: JupyterKernel) -> None:
    code = "import threading, time\nthreading.Timer(0.6, lambda: print('late', flush=True)).start()\nprint('in', flush=True)"
    cell = await Cell(kernel).begun(code)
    await cell.ended()
    for _ in range(5):
        await kernel.complete("thr", 3)
    async with asyncio.timeout(5):
        while "late" not in await cell.ended():
            await asyncio.sleep(0.05)


async def test_another_kernel_answers_after_the_cell(pool: JupyterPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "share" / "jupyter" / "kernels" / "bash"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "bash", "language": "bash"}))
    kernel = await pool.take("bash", tmp_path / "work" / "b")
    cell = await Cell(kernel).begun("echo in; sleep 1")
    completion = await kernel.complete("ech", 3)
    assert "echo" in completion["matches"]
    assert cell.done.is_set()
    cell = await Cell(kernel).begun("echo in; sleep 1.5")
    monkeypatch.setattr(jupyter, "REQUEST_TIMEOUT_S", 0.2)
    with pytest.raises(TimeoutError):
        await kernel.complete("ech", 3)
    await cell.ended()
    await kernel.stop()
