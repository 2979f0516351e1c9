"""Starting, stopping and starting again: what `make up`, `make down` and `make reset` promise."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.platform.apart import RunningPlatform, free_ports, start_apart
from scripts.platform.settings import ROOT
from spin_client.sdk import MemoryStore, Platform, every_page
from spinapis.workspace.v1 import notebooks_pb2
from tests.fakes.extra_runtime import workspace_named
from tests.fakes.history import proved


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lifetime") / "var"


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    return free_ports()


def command(name: str, data: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SPIN_DATA": str(data), **extra}
    return subprocess.run(
        [sys.executable, "-m", "scripts.platform", name], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def platform(data: Path, ports: dict[str, str]) -> Iterator[RunningPlatform]:
    """Started on the module's data, whatever is there by now."""
    started = start_apart(data, **ports)
    yield started
    assert started.stop() == 0


async def titles(running: RunningPlatform, pins: Path, *, make: str = "") -> set[str]:
    """The notebooks of the sample workspace, with one more when asked; its log verifies."""
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=pins) as owner:
        await owner.sign_in_with_link(running.link)
        workspace_id = await workspace_named(owner, "Sample")
        if make:
            await owner.notebooks.CreateNotebook(notebooks_pb2.CreateNotebookRequest(workspace_id=workspace_id, title=make))
        await proved(owner, workspace_id)
        request = notebooks_pb2.ListNotebooksRequest(workspace_id=workspace_id)
        return {book.title async for book in every_page(owner.notebooks.ListNotebooks, request, "notebooks")}


async def test_the_first_start_and_what_it_refuses(platform: RunningPlatform, data: Path, tmp_path: Path) -> None:
    assert "Mine" in await titles(platform, tmp_path, make="Mine")
    second = command("up", data, **free_ports())
    assert second.returncode == 1
    assert second.stderr.strip().splitlines()[-1].endswith("stop it with 'make down'")
    assert str(platform.process.pid) in second.stderr


async def test_a_second_start_keeps_everything(platform: RunningPlatform, tmp_path: Path) -> None:
    assert "Mine" in await titles(platform, tmp_path)
    assert platform.usable_after_s < 15
    # The runtime is the same one: nothing was paired again.
    assert not any("fingerprint" in line for line in platform.lines)


async def test_a_start_on_other_ports_keeps_everything(data: Path, tmp_path: Path) -> None:
    moved = start_apart(data, **free_ports())
    try:
        assert "Mine" in await titles(moved, tmp_path)
        stopped = command("down", data)
        assert (stopped.returncode, stopped.stdout) == (0, "down: stopped\n")
        assert moved.process.wait(10) == 0
    finally:
        moved.stop()


def test_down_when_nothing_runs(data: Path) -> None:
    stopped = command("down", data)
    assert (stopped.returncode, stopped.stdout) == (0, "down: nothing runs\n")


@pytest.mark.parametrize("variable", ["SPIN_GATEWAY_PORT", "SPIN_RUNTIME_PORT", "SPIN_SERVICE_PORT_BASE"])
def test_a_taken_port_is_one_line_with_the_mend(tmp_path: Path, variable: str) -> None:
    wanted = free_ports()
    with socket.create_server(("127.0.0.1", int(wanted[variable]))):
        refused = command("up", tmp_path, **wanted)
    assert refused.returncode == 1
    assert refused.stderr == f"up: port {wanted[variable]} is taken: stop what uses it, or choose another with {variable}=…\n"


def test_a_port_that_is_none_is_said(tmp_path: Path) -> None:
    refused = command("up", tmp_path, SPIN_GATEWAY_PORT="http", SPIN_RUNTIME_PORT="80")
    assert refused.returncode == 1
    assert "SPIN_GATEWAY_PORT='http'" in refused.stderr and "SPIN_RUNTIME_PORT='80'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_reset_deletes_what_was_made(data: Path) -> None:
    gone = command("reset", data)
    assert gone.returncode == 0
    assert not data.exists()
    assert command("reset", data).returncode == 0


def test_a_start_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    ports = free_ports()
    environment = {**os.environ, "SPIN_DATA": str(tmp_path / "var"), "PYTHONUNBUFFERED": "1", **ports}
    arguments = [sys.executable, "-m", "scripts.platform", "demo"]
    with subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as starting:
        assert starting.stdout is not None
        for line in starting.stdout:
            # The services are up and the gateway is not.
            if "starting the five services" in line:
                starting.terminate()
        assert starting.wait(60) == 130
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", int(port) + (name == "SPIN_SERVICE_PORT_BASE")))
