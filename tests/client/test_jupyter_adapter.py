"""Jupyter's own clients on a SPIN session: message ids and parents fit, and nbclient executes notebooks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import nbformat
import pytest
from jupyter_core.utils import ensure_event_loop
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from spin_client.adapters.jupyter import SpinKernelManager
from spin_client.sdk import MemoryStore
from spin_client.sdk.token_stores import StoredSignIn
from tests.client.conftest import Bench


@pytest.fixture
async def manager(bench: Bench) -> AsyncIterator[SpinKernelManager]:
    tokens = bench.control_plane.tokens()
    store = MemoryStore()
    store.save(bench.control_plane.url, StoredSignIn(tokens.access_token, tokens.refresh_token, tokens.access_expires_at_ms))
    manager = SpinKernelManager(url=bench.control_plane.url, workspace_id=bench.workspace_id, store=store)
    yield manager
    await manager.shutdown_kernel()
    await manager.cleanup_resources()


async def collected(client: Any, msg_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    reply = await client.get_shell_msg(timeout=10)
    published = []
    while not published or published[-1]["content"].get("execution_state") != "idle":
        published.append(await client.get_iopub_msg(timeout=10))
    assert {m["parent_header"]["msg_id"] for m in [reply, *published]} == {msg_id}
    return reply, published


async def test_an_execute_request_has_its_outputs_and_reply(manager: SpinKernelManager) -> None:
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    reply, published = await collected(client, client.execute("print('hello')"))
    assert (reply["msg_type"], reply["content"]["status"]) == ("execute_reply", "ok")
    assert [m["msg_type"] for m in published] == ["status", "execute_input", "stream", "status"]
    assert published[2]["content"] == {"name": "stdout", "text": "hello\n"}


async def test_other_requests_are_answered_with_busy_and_idle(manager: SpinKernelManager) -> None:
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    answers: list[tuple[str, str]] = []
    for msg_id in (client.complete("pri", 3), client.inspect("print", 5), client.history()):
        reply = await client.get_shell_msg(timeout=10)
        states = [await client.get_iopub_msg(timeout=10) for _ in range(2)]
        assert [m["parent_header"]["msg_id"] for m in (reply, *states)] == [msg_id] * 3
        answers.append((reply["msg_type"], "-".join(m["content"]["execution_state"] for m in states)))
    assert answers == [("complete_reply", "busy-idle"), ("inspect_reply", "busy-idle"), ("history_reply", "busy-idle")]


async def test_a_refused_program_is_an_error_reply(manager: SpinKernelManager, bench: Bench) -> None:
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    bench.control_plane.broken_cells["jupyter"] = {"1": "no"}
    reply, published = await collected(client, client.execute("nonsense"))
    assert reply["content"]["ename"] == "CELL_INVALID"
    assert [m["msg_type"] for m in published] == ["error", "status"]


async def test_input_is_asked_for_on_stdin(manager: SpinKernelManager) -> None:
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    msg_id = client.execute("print(await ask('name? '))", allow_stdin=True)
    assert (await client.get_stdin_msg(timeout=10))["content"]["prompt"] == "name? "
    client.input("Ada")
    _, published = await collected(client, msg_id)
    assert [m["content"]["text"] for m in published if m["msg_type"] == "stream"] == ["Ada\n"]


async def test_an_answer_that_the_runtime_refuses_is_said_where_the_cell_writes(manager: SpinKernelManager, bench: Bench) -> None:
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    msg_id = client.execute("await ask('name? ')", allow_stdin=True)
    await client.get_stdin_msg(timeout=10)
    bench.runtime.refuse_next_input = True
    client.input("Ada")
    said = await client.get_iopub_msg(timeout=10)
    while said["msg_type"] != "stream":
        said = await client.get_iopub_msg(timeout=10)
    assert said["parent_header"]["msg_id"] == msg_id and said["content"]["name"] == "stderr"
    assert "Whoever ran this cell" in said["content"]["text"] and "spinctl session take" in said["content"]["text"]


def notebook(*sources: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


async def test_nbclient_executes_a_notebook(manager: SpinKernelManager, bench: Bench) -> None:
    before = set(bench.control_plane.notebooks)
    book = notebook("x = 6", "print(x * 7)")
    await NotebookClient(book, km=manager).async_execute()
    assert book.cells[1].outputs == [{"output_type": "stream", "name": "stdout", "text": "42\n"}]
    await manager.shutdown_kernel()
    assert set(bench.control_plane.notebooks) == before


async def test_nbclient_sees_errors(manager: SpinKernelManager) -> None:
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        await NotebookClient(notebook("1 / 0"), km=manager).async_execute()


async def test_a_blocking_client_works_from_a_thread(manager: SpinKernelManager) -> None:
    await manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()

    def execute() -> dict[str, Any]:
        reply: dict[str, Any] = client.execute("1 + 1", reply=True, timeout=10)
        # jupyter_core gives each thread that waits a loop, and leaves it open.
        ensure_event_loop().close()
        return reply

    reply = await asyncio.to_thread(execute)
    assert reply["content"]["status"] == "ok"
    await manager.interrupt_kernel()
    assert await manager.is_alive()
