"""Code in a cell against the launcher, on which all kernels of the runtime wait."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.runtime.launcher.test_attack_by_the_server import Taken, as_root, taken_over

MIB = 1 << 20
# A copy of the launcher is the only other process of this user.
STOPS = """
import os, pathlib, signal
own, uid = os.getpid(), os.getuid()
pathlib.Path("ready").touch()
while True:
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) > own:
            try:
                os.kill(int(name), signal.SIGSTOP)
            except OSError:
                pass
"""


@contextmanager
def kernel(taken: Taken, code: str) -> Iterator[str]:
    """One whose code runs: its handle."""
    taken.asks("folder", "hostile")
    answer = taken.start("hostile", taken.box().name, argv=["/usr/bin/python3", "-c", code])
    assert "kernel" in answer, answer
    end = time.monotonic() + 20
    while not (taken.var / "work" / "hostile" / "ready").exists():
        assert time.monotonic() < end, "its code did not begin"
        time.sleep(0.01)
    yield answer["kernel"]


@as_root
def test_a_kernel_that_stops_who_changes_its_limit_makes_nobody_wait(apart: bool) -> None:
    with taken_over() as taken, kernel(taken, STOPS) as hostile:
        began = time.monotonic()
        # The copy may be quicker than who stops it.
        while "error" not in (answer := taken.asks("limit_memory", hostile, 512 * MIB)):
            assert time.monotonic() - began < 60, "no copy was stopped"
        assert "stops the process" in answer["error"] and "Restart the kernel" in answer["error"]
        began = time.monotonic()
        assert all(taken.asks("limit_memory", hostile, 512 * MIB) == answer for _ in range(100))
        assert time.monotonic() - began < 5
        assert "error" not in taken.asks("limit_memory", taken.started()[0], 512 * MIB)
