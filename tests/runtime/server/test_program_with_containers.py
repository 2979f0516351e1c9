"""`spin-runtime` with kernels in containers, as a person meets it."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.fakes import container_engine
from tests.fakes.control_plane import ControlPlane
from tests.fakes.runtime_rig import spawned, variables_of
from tests.runtime.server.test_program import faults


def test_containers_need_an_image_and_an_engine_on_this_machine(tmp_path: Path) -> None:
    said = faults(tmp_path, SPIN_ISOLATION="container", DOCKER_HOST="tcp://10.0.0.1:2375", SPIN_KERNEL_CPUS="many", SPIN_KERNEL_RUNTIME="run sc")
    for fault in ("SPIN_KERNEL_IMAGE must name", "give its socket, unix:///PATH", "SPIN_KERNEL_CPUS must be a number", "SPIN_KERNEL_RUNTIME must be"):
        assert any(fault in line for line in said), said


async def test_an_engine_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    environment = variables_of(tmp_path, ControlPlane()) | {
        "SPIN_ISOLATION": "container",
        "SPIN_KERNEL_IMAGE": "kernel",
        "DOCKER_HOST": f"unix://{tmp_path}/no",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "spin_runtime.main", env=environment, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"SPIN_ISOLATION=container is not possible here: no Docker engine answers at" in said
    assert b"Start the engine (dockerd)" in said


@pytest.mark.parametrize("engine", ["container_engine"] if container_engine.starts() else [])
async def test_cells_run_in_a_container_and_use_the_broker(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> None:
    found: container_engine.ContainerEngine = request.getfixturevalue(engine)
    chosen = {"SPIN_ISOLATION": "container", "SPIN_KERNEL_IMAGE": container_engine.IMAGE, "DOCKER_HOST": found.address}
    async with spawned(tmp_path, **chosen, SPIN_EGRESS="none", SPIN_SPARE_KERNELS="0") as runtime, runtime.attached() as seat:
        assert "read-only root" in str(next(entry["mechanisms"] for entry in runtime.log if entry["event"] == "kernels are isolated"))
        await seat.start_kernel()
        await seat.run("from pathlib import Path\nprint(Path('/proc/self/status').read_text(), Path.cwd())")
        assert "CapEff:\t0000000000000000" in seat.text()
        assert "/work" in seat.text()
    assert found.left() == []
