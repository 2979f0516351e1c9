"""What a person is told of a kernel that could not be started: who mends it, and nothing of the machine."""

import os
from pathlib import Path

import pytest

from spin_runtime.kernels.api import KernelStartFailed
from spin_runtime.kernels.pool import JupyterPool
from spin_runtime.kernels.rules import Isolation
from spin_runtime.kernels.unstarted import not_started
from tests.fakes.launched import APART, LaunchedPool

UIDS = (1_950_000_000, 1_950_000_001)


async def told(pool: JupyterPool, folder: Path) -> str:
    await pool.begin()
    try:
        with pytest.raises(KernelStartFailed) as failed:
            await pool.take("python3", folder / "work" / "a")
        return str(failed.value)
    finally:
        await pool.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives kernels users")
async def test_users_that_are_used_up_are_the_operators_to_mend(tmp_path: Path) -> None:
    for uid in UIDS:
        folder = tmp_path / "work" / str(uid)
        folder.mkdir(parents=True)
        os.chown(folder, uid, uid)
    pool = LaunchedPool(os.environ, tmp_path / "work", spares=0, isolation=Isolation(uids=UIDS), accounts=APART)
    said = await told(pool, tmp_path)
    assert "no user is free" in said and "SPIN_KERNEL_UIDS" in said
    assert "try again" not in said


async def test_another_cause_is_in_the_runtimes_log_alone(tmp_path: Path) -> None:
    pool = LaunchedPool(os.environ, tmp_path / "work", spares=0)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a").write_text("a file in its place")
    said = await told(pool, tmp_path)
    assert said.endswith("the runtime's log says why: whoever operates the runtime can read it.")
    assert str(tmp_path) not in said


@pytest.mark.parametrize(
    ("launcher_says", "who_mends"),
    [
        ('ErrImagePull: failed to pull image "registry.example/k": not found', "SPIN_KERNEL_IMAGE"),
        ("the container engine: No such image: kernels:1", "SPIN_KERNEL_IMAGE"),
        ('the cluster: pods "k" is forbidden: exceeded quota: most, requested: pods=1', "Stop kernels that nobody needs"),
        ("its pod did not start within 300 s: Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.", "Stop kernels that nobody needs"),
    ],
)
def test_what_an_image_or_a_cluster_lacks_is_said_in_our_words(launcher_says: str, who_mends: str) -> None:
    said = not_started("python3", launcher_says)
    assert who_mends in said
    assert launcher_says not in said and "registry.example" not in said
