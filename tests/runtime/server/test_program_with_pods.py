"""`spin-runtime` with kernels in pods, as a person meets it."""

import asyncio
import sys
from pathlib import Path

import pytest

from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes import container_engine
from tests.fakes.control_plane import ControlPlane, use
from tests.fakes.kubernetes_cluster.api import NAMESPACE, RUNTIME, KubernetesCluster
from tests.fakes.runtime_rig import spawned, variables_of
from tests.runtime.server.test_program import faults


def test_pods_need_an_image_and_a_cluster(tmp_path: Path) -> None:
    said = faults(tmp_path, SPIN_ISOLATION="kubernetes", SPIN_KERNEL_READABLE="/data", SPIN_KERNEL_CLAIM="My Claim", SPIN_KERNEL_CPUS="many")
    for fault in (
        *("SPIN_KERNEL_IMAGE must name the image of kernels that SPIN_ISOLATION=kubernetes needs", "run the runtime in a pod, or name a kubeconfig"),
        *("SPIN_KERNEL_READABLE names files", "SPIN_KERNEL_CLAIM must be a name in the cluster", "SPIN_KERNEL_CPUS must be a number"),
    ):
        assert any(fault in line for line in said), said
    chosen = {"SPIN_ISOLATION": "kubernetes", "SPIN_KERNEL_IMAGE": "kernel", "KUBECONFIG": "/kubeconfig"}
    assert any("takes SPIN_UIDS=shared" in line for line in faults(tmp_path, **chosen, SPIN_UIDS="separate"))
    said = faults(tmp_path, **chosen, SPIN_UIDS="shared")
    assert said == ["SPIN_KERNEL_NAMESPACE must name the namespace of kernels' pods where KUBECONFIG names the cluster"]


async def test_a_cluster_without_access_ends_the_start(tmp_path: Path) -> None:
    environment = variables_of(tmp_path, ControlPlane()) | {
        "SPIN_ISOLATION": "kubernetes",
        "SPIN_KERNEL_IMAGE": "kernel",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "1",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "spin_runtime.main", env=environment, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"SPIN_ISOLATION=kubernetes is not possible here: the service account of the runtime's pod" in said
    assert b"automountServiceAccountToken" in said


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["container_engine"] if container_engine.starts() else [])
async def test_cells_run_in_a_pod_and_use_the_broker(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "cluster"
    folder.mkdir()
    async with KubernetesCluster(folder, request.getfixturevalue(engine)) as cluster:
        chosen = {
            "SPIN_ISOLATION": "kubernetes",
            "SPIN_KERNEL_IMAGE": container_engine.IMAGE,
            "KUBECONFIG": str(cluster.kubeconfig),
            "SPIN_KERNEL_NAMESPACE": NAMESPACE,
            "SPIN_POD_NAME": RUNTIME,
            "SPIN_EGRESS": "none",
            "SPIN_SPARE_KERNELS": "0",
            "REGION": "north",
        }
        async with spawned(tmp_path / "home", **chosen) as runtime, runtime.attached() as seat:
            assert "restricted profile" in str(next(entry["mechanisms"] for entry in runtime.log if entry["event"] == "kernels are isolated"))
            await seat.send(start_kernel=f.StartKernel())
            # A pod takes its time on a busy machine.
            while (await seat.next(timeout=120)).kernel_state.phase != f.KERNEL_PHASE_IDLE:
                pass
            await seat.run("from pathlib import Path\nprint(Path('/proc/self/status').read_text(), Path.cwd())")
            assert "CapEff:\t0000000000000000" in seat.text()
            assert "/work" in seat.text()
            uses = [use(b"", "runtime_env.get", params={"name": "REGION"})]
            assert await seat.printed("import spin_kernel\nprint(spin_kernel.runtime_env('REGION'))", uses=uses) == "north\n"
            sleeping = await seat.submit("import time\nprint('begun', flush=True)\ntime.sleep(600)")
            await seat.until(lambda _: "begun" in seat.text())
            await seat.send(interrupt=f.Interrupt())
            await seat.ended(sleeping)
            assert await seat.printed("print('after')") == "after\n"
            await seat.submit("import os\nos._exit(1)")
            await seat.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_DEAD)
        # It was killed: nothing runs on, and what is left is its own pod's, with which it goes.
        async with asyncio.timeout(60):
            while cluster.pods("Running"):
                await asyncio.sleep(0.1)
        await cluster.end_runtime()
        await cluster.settled()
        assert cluster.names("pods") == cluster.names("secrets") == cluster.names("networkpolicies") == []
