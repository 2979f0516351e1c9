"""Jupyter's own test suite for kernels and its notebook runner, on ipykernel behind the whole platform: nothing may fail that passes directly."""

import asyncio
import os
import unittest
from collections.abc import Iterator
from pathlib import Path

import jupyter_kernel_test
import nbformat
import pytest
from jupyter_client.utils import run_sync
from jupyter_core.utils import ensure_event_loop
from nbclient import NotebookClient

from scripts.platform.apart import RunningPlatform
from spin_client.adapters.jupyter import SpinKernelManager
from spin_client.sdk import MemoryStore, Platform
from spinapis.workspace.v1 import workspaces_pb2


class DirectKernel(jupyter_kernel_test.KernelTests):
    """ipykernel as jupyter_client starts it."""

    __test__ = False
    kernel_name = "python3"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [{"text": "zi", "matches": {"zip"}}]  # noqa: RUF012 - the suite's own form
    complete_code_samples = ["1", "print('hi')", "def f(x):\n  return x*2\n\n\n"]  # noqa: RUF012
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2"]  # noqa: RUF012
    invalid_code_samples = ["import = 7q"]  # noqa: RUF012
    code_page_something = "zip?"
    code_generate_error = "raise ValueError()"
    code_execute_result = [{"code": "1+2+3", "result": "6"}, {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"}]  # noqa: RUF012
    code_display_data = [{"code": "from IPython.display import HTML, display; display(HTML('<b>x</b>'))", "mime": "text/html"}]  # noqa: RUF012
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "search", "range")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"


class SpinKernel(DirectKernel):
    """The same kernel behind the platform."""

    manager: SpinKernelManager

    @classmethod
    def setUpClass(cls) -> None:
        run_sync(cls.manager.start_kernel)()
        cls.kc = cls.manager.blocking_client()
        cls.kc.start_channels()
        cls.kc.wait_for_ready(timeout=60)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.kc.stop_channels()
        run_sync(cls.manager.shutdown_kernel)()
        run_sync(cls.manager.cleanup_resources)()


@pytest.fixture
def manager(running: RunningPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpinKernelManager]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    store, url = MemoryStore(), running.settings.public_url
    workspace_id = asyncio.run(signed_in(url, store, running.new_token()))
    yield SpinKernelManager(url=url, workspace_id=workspace_id, store=store)
    # jupyter_core gives the thread that waits a loop, and leaves it open.
    ensure_event_loop().close()


async def signed_in(url: str, store: MemoryStore, token: str) -> str:
    async with await Platform.connect(url, store=store) as platform:
        await platform.sign_in_with_link(token)
        found = await platform.workspaces.ListWorkspaces(workspaces_pb2.ListWorkspacesRequest())
        return next(w.id for w in found.workspaces if w.name == "Sample")


def failed_in(case: type[unittest.TestCase]) -> tuple[set[str], int]:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return {test.id().rpartition(".")[2] for test, _ in [*result.failures, *result.errors]}, result.testsRun


def test_the_kernel_suite_fails_nothing_that_passes_directly(manager: SpinKernelManager) -> None:
    SpinKernel.manager = manager
    through_spin, count = failed_in(SpinKernel)
    directly, direct_count = failed_in(DirectKernel)
    assert count == direct_count >= 12
    assert through_spin <= directly


def test_nbclient_executes_a_notebook(manager: SpinKernelManager) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in ("import os\nx = 6", "print(x * 7)\nx", "'SPIN_TOKEN' in os.environ")]
    book = nbformat.v4.new_notebook(cells=cells)

    async def execute() -> None:
        try:
            await NotebookClient(book, km=manager, timeout=60).async_execute()
        finally:
            await manager.shutdown_kernel()
            await manager.cleanup_resources()

    os.environ.pop("SPIN_API_KEY", None)
    asyncio.run(execute())
    assert [output.output_type for output in book.cells[1].outputs] == ["stream", "execute_result"]
    assert book.cells[1].outputs[0].text == "42\n"
    assert book.cells[2].outputs[0].data["text/plain"] == "False"
