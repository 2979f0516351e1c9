"""Publishing from the thread that speaks: whole messages, in order, none lost, whatever comes in between."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient

from spin_runtime.kernels.launch import IPYKERNEL_WAITS

SHOW = "from IPython.display import display_pretty as show\n"


@pytest.fixture(autouse=True)
async def waits(notebook) -> None:
    """As the runtime has it: the kernel waits for its reader."""
    await notebook.run(IPYKERNEL_WAITS)


def shown(outputs: Sequence[Any]) -> Sequence[str]:
    return [output["content"]["data"]["text/plain"] for output in outputs if output["msg_type"] == "display_data"]


async def interrupted(notebook, code: str, after: int) -> tuple[list[Any], Any]:
    """Outputs and reply of a cell that is interrupted when so many messages have come."""
    outputs = []
    async for output in notebook.outputs(await notebook.send(code)):
        outputs.append(output)
        if len(outputs) == after:
            notebook.manager.interrupt_kernel()
    return outputs, (await notebook.client.get_shell_msg(timeout=30))["content"]


@pytest.mark.parametrize("after", [3, 4, 10, 50, 51, 52, 200])
async def test_an_interrupt_tears_no_message_and_loses_none(notebook, after: int) -> None:
    outputs, reply = await interrupted(notebook, SHOW + "n = 0\nwhile True:\n    show(str(n), raw=True)\n    n += 1", after)
    assert reply["ename"] == "KeyboardInterrupt"
    assert shown(outputs) == [str(n) for n in range(len(shown(outputs)))]
    # The last one may have been counted or not.
    assert len(shown(outputs)) - await notebook.value("n") in (0, 1)


@pytest.mark.parametrize("after", [3, 4, 10, 50, 51, 52, 200])
async def test_an_interrupt_while_printing_loses_no_text_before_it(notebook, after: int) -> None:
    outputs, _ = await interrupted(notebook, "n = 0\nwhile True:\n    print(n, flush=True)\n    n += 1", after)
    texts = [o["content"]["text"] for o in outputs if o["msg_type"] == "stream" and o["content"]["name"] == "stdout"]
    lines = "".join(texts).split()
    assert lines == [str(n) for n in range(len(lines))]
    assert len(lines) - await notebook.value("n") in (0, 1)


async def test_each_threads_displays_stay_in_order(notebook) -> None:
    code = """
import threading
def work(name):
    for number in range(300):
        show(f"{name} {number}", raw=True)
threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
[thread.start() for thread in threads]
work("main")
[thread.join() for thread in threads]
"""
    texts = shown((await notebook.run(SHOW + code)).outputs)
    for name in ("a", "b", "main"):
        assert [text for text in texts if text.split()[0] == name] == [f"{name} {number}" for number in range(300)]


async def test_flushing_beside_a_thread_that_is_ahead_of_the_reader_comes_to_an_end(notebook) -> None:
    """Whoever flushes has the socket: waiting there for the publishing thread, which waits for the socket, would be for ever."""
    code = """
import threading
thread = threading.Thread(target=lambda: [show(f"{n} " + " " * 2000, raw=True) for n in range(4000)])
thread.start()
for n in range(4000): print(n, flush=True)
thread.join()
"""
    msg_id = await notebook.send(SHOW + code)
    await asyncio.sleep(2)
    cell = await notebook.ended(msg_id)
    assert [int(text) for text in shown(cell.outputs)] == list(range(4000))
    assert [int(line) for line in cell.stream().split()] == list(range(4000))


async def test_a_reader_that_is_behind_gets_everything_in_order(notebook) -> None:
    msg_id = await notebook.send(SHOW + "for n in range(4000): show(str(n) + ' ' * 5000, raw=True)\nprint('end')")
    await asyncio.sleep(2)
    cell = await notebook.ended(msg_id)
    assert [int(text) for text in shown(cell.outputs)] == list(range(4000))
    assert cell.stream() == "end\n"


async def test_whoever_subscribes_while_a_cell_publishes_is_greeted(notebook) -> None:
    msg_id = await notebook.send(SHOW + "import time\nfor n in range(2000):\n    show(str(n), raw=True)\n    time.sleep(0.001)")
    late = AsyncKernelClient()
    late.load_connection_info(notebook.manager.get_connection_info())
    late.start_channels()
    # Only a subscription that is new to the kernel is told to it.
    late.iopub_channel.socket.subscribe(b"new")
    try:
        async with asyncio.timeout(10):
            while (await late.get_iopub_msg())["msg_type"] != "iopub_welcome":
                pass
    finally:
        late.stop_channels()
    assert len(shown((await notebook.ended(msg_id)).outputs)) == 2000


async def test_busy_comes_before_the_input_and_the_input_before_the_output(notebook) -> None:
    request = await notebook.send("print('x')")
    kinds = []
    while kinds[-1:] != ["idle"]:
        message = await notebook.client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") == request:
            kinds.append(message["content"].get("execution_state", message["msg_type"]))
    assert kinds == ["busy", "execute_input", "stream", "idle"]
    await notebook.client.get_shell_msg(timeout=30)


async def test_cells_that_wait_are_run(notebook) -> None:
    assert await notebook.value("import asyncio\nawait asyncio.sleep(0.01, result=3)") == 3


async def test_a_task_goes_on_between_cells(notebook) -> None:
    await notebook.run("async def count():\n    for n in range(3):\n        await asyncio.sleep(0.01)\n    return n")
    await notebook.run("import asyncio\ntask = asyncio.create_task(count())")
    assert await notebook.value("await task") == 2


async def test_a_widgets_messages_come_under_its_cell(notebook) -> None:
    cell = await notebook.run("from comm import create_comm\nc = create_comm(target_name='t', data={'a': 1})\nc.send({'b': 2})\nc.close()")
    kinds = [output["msg_type"] for output in cell.outputs]
    assert kinds == ["status", "execute_input", "comm_open", "comm_msg", "comm_close"]
