"""Kernels that the launcher cannot signal: none goes on where it should be held, and none is waited for that cannot be killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from spin_runtime.kernels.api import Execute
from spin_runtime.kernels.jupyter import JupyterKernel
from spin_runtime.kernels.pool import JupyterPool
from tests.fakes.launched import LaunchedPool

Refuse = Callable[..., None]


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[JupyterPool]:
    pool = LaunchedPool(os.environ, tmp_path / "work", spares=0)
    await pool.begin()
    yield pool
    await pool.close()


@pytest.fixture
def refuse(pool: JupyterPool, monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """The launcher refuses these: it is asked for SIGHUP, which it sends to no kernel."""
    client = pool._launcher.client
    ask = client.signal

    def refuse(*refused: int) -> None:
        monkeypatch.setattr(client, "signal", lambda kernel, number: ask(kernel, signal.SIGHUP if number in refused else number))

    return refuse


async def taken(pool: JupyterPool, tmp_path: Path) -> tuple[JupyterKernel, psutil.Process]:
    kernel = await pool.take("python3", tmp_path / "work" / "a")
    provisioner = kernel._launched.local
    assert provisioner is not None and provisioner.started is not None
    return kernel, psutil.Process(provisioner.started.pid)


@pytest.mark.parametrize("refused", [(signal.SIGSTOP,), (signal.SIGSTOP, signal.SIGKILL)])
async def test_a_kernel_that_cannot_be_held_is_ended(pool: JupyterPool, tmp_path: Path, refuse: Refuse, refused: tuple[int, ...]) -> None:
    kernel, process = await taken(pool, tmp_path)
    told: asyncio.Queue[str] = asyncio.Queue()
    kernel.on_death(told.put)
    refuse(*refused)
    with capture_logs() as logged:
        await kernel.hold(True)
    assert "could not be held" in await asyncio.wait_for(told.get(), 30)
    assert not kernel.alive
    await asyncio.to_thread(psutil.wait_procs, [process], 10)
    assert not process.is_running()
    assert [(entry["signal"], entry["log_level"]) for entry in logged] == [(signal.Signals(number).name, "warning") for number in refused]
    await asyncio.wait_for(kernel.stop(), 30)


async def test_a_kernel_that_cannot_be_killed_is_not_waited_for(pool: JupyterPool, tmp_path: Path, refuse: Refuse) -> None:
    kernel, process = await taken(pool, tmp_path)
    refuse(signal.SIGKILL)
    # It hears no request to shut down.
    process.suspend()
    with capture_logs() as logged:
        await asyncio.wait_for(kernel.stop(), 30)
    await asyncio.to_thread(psutil.wait_procs, [process], 10)
    assert not process.is_running()
    assert [entry["signal"] for entry in logged] == ["SIGKILL"]


async def test_a_kernel_that_cannot_be_interrupted_goes_on(pool: JupyterPool, tmp_path: Path, refuse: Refuse) -> None:
    kernel, process = await taken(pool, tmp_path)
    refuse(signal.SIGINT)
    with capture_logs() as logged:
        await kernel.interrupt()
    assert [entry["signal"] for entry in logged] == ["SIGINT"]
    assert kernel.alive and process.is_running()
    await kernel.execute(Execute("1"))
    await kernel.stop()
