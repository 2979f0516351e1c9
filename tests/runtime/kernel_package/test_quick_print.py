"""Printing in a kernel: quick, and otherwise as ipykernel prints."""

import asyncio

import pytest

LARGEST = 2 << 20
# In our program, and in ipykernel's own with our extension.
pytestmark = pytest.mark.parametrize("kernel", ["spin_kernel.app", "ipykernel_launcher"], indirect=True)


def texts(cell) -> list[tuple[str, str]]:
    """What came, in order: the stream's name or the message's type, and its text."""
    shown = []
    for output in cell.outputs:
        content = output["content"]
        if output["msg_type"] == "stream":
            shown.append((content["name"], content["text"]))
        elif "data" in content:
            shown.append((output["msg_type"], content["data"]["text/plain"]))
    return shown


async def test_printing_is_the_quick_way(notebook) -> None:
    assert await notebook.value("import sys; (type(sys.stdout).__name__, type(sys.stderr).__name__)") == ("QuickStream", "QuickStream")


async def test_everything_printed_comes_in_messages_of_bounded_size(notebook) -> None:
    cell = await notebook.run("for i in range(50_000): print(i, 'x' * 90)\nprint('é' * 5_000_000, end='')")
    assert cell.stream() == "".join(f"{i} {'x' * 90}\n" for i in range(50_000)) + "é" * 5_000_000
    assert max(len(text) for _, text in texts(cell)) <= LARGEST


async def test_order_with_displays_and_results_is_kept(notebook) -> None:
    cell = await notebook.run("print('a')\ndisplay(1)\nprint('b')\ndisplay(2)\nprint('c')\n3")
    shown = [("stdout", "a\n"), ("display_data", "1"), ("stdout", "b\n"), ("display_data", "2"), ("stdout", "c\n"), ("execute_result", "3")]
    assert texts(cell) == shown


async def test_order_with_stderr_is_kept_by_flushing(notebook) -> None:
    cell = await notebook.run("import sys\nprint('a', flush=True)\nprint('b', file=sys.stderr, flush=True)\nprint('c')")
    assert texts(cell) == [("stdout", "a\n"), ("stderr", "b\n"), ("stdout", "c\n")]


async def test_what_was_printed_shows_while_the_cell_still_runs(notebook) -> None:
    msg_id = await notebook.send("import time\nprint('now')\ntime.sleep(2)\nprint('then')")
    async for output in notebook.outputs(msg_id):
        if output["msg_type"] == "stream":
            assert output["content"]["text"] == "now\n"
            return


async def test_a_threads_output_keeps_its_place(notebook) -> None:
    joined = await notebook.run("import threading\nprint('a')\nt = threading.Thread(target=print, args=('b',))\nt.start(); t.join()\nprint('c')")
    assert joined.stream() == "a\nb\nc\n"


async def test_many_threads_lose_nothing(notebook) -> None:
    code = """
import threading
threads = [threading.Thread(target=lambda: [print('y' * 99) for _ in range(5_000)]) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
"""
    cell = await notebook.run(code)
    assert cell.stream().count("y") == 8 * 5_000 * 99


async def test_a_forked_child_prints_its_own_and_not_what_waited_in_the_parent(notebook) -> None:
    code = """
import os
print('parent')
pid = os.fork()
if pid == 0:
    print('child')
    import sys; sys.stdout.flush()
    os._exit(0)
os.waitpid(pid, 0)
print('parent again')
"""
    cell = await notebook.run(code)
    # Each process's own pieces are in order; what comes between them is not said.
    assert sorted(cell.stream()) == sorted("parent\nchild\nparent again\n")
    assert "child" in cell.stream() and "parent again\n" in cell.stream()


async def test_processes_started_and_programs_called_show_their_output(notebook) -> None:
    code = "import multiprocessing, os\np = multiprocessing.get_context('fork').Process(target=print, args=('process',))\np.start(); p.join()"
    assert (await notebook.run(code)).stream() == "process\n"


async def test_an_interrupt_in_the_middle_of_printing_leaves_a_kernel_that_prints(notebook) -> None:
    msg_id = await notebook.send("while True: print('z' * 1000)")
    await asyncio.sleep(0.5)
    notebook.manager.interrupt_kernel()
    cell = await notebook.ended(msg_id)
    assert cell.reply["ename"] == "KeyboardInterrupt"
    after = await notebook.run("for _ in range(10_000): print('w' * 100)")
    assert after.stream().count("w") == 1_000_000


async def test_only_text_can_be_written(notebook) -> None:
    cell = await notebook.run("import sys\nsys.stdout.write(b'bytes')")
    assert cell.reply["ename"] == "TypeError"


async def test_capturing_and_redirecting_work(notebook) -> None:
    code = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as kept:\n    print('kept')\nkept.getvalue()"
    assert await notebook.value(code) == "kept\n"
    assert (
        await notebook.value("from IPython.utils.capture import capture_output\nwith capture_output() as c:\n    print('held')\nc.stdout") == "held\n"
    )
