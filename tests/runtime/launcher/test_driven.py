"""Kernels of another system: whatever it answers, whoever asked gets an answer, and a kernel's end is told."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spin_runtime.launcher import driven
from spin_runtime.launcher.pods.kernels import _listens
from spin_runtime.launcher.rules import Start

WITHOUT_LIBSECCOMP = """
import asyncio, ctypes.util, os, sys
from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.pods.kernels import Pods
from spin_runtime.launcher.rules import PodRules, Rules, Unable
ctypes.util.find_library = lambda name: None
pods = PodRules("", "", "", "", "", "image", "", 0.0, "", 1, 0, (1, 2))
own = os.geteuid()
rules = Rules("kubernetes", "none", (), sys.argv[1], 1 << 20, 100, 0, None, own, os.getegid(), own, None, pods)
try:
    asyncio.run(Pods(rules, Folders(rules)).configure())
except Unable as error:
    print(error)
"""


def test_pods_need_libseccomp_and_say_so(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_LIBSECCOMP, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.startswith("libseccomp is missing: install the package libseccomp2")


async def test_a_watch_that_fails_tells_the_kernels_end() -> None:
    async def fails(kernel: driven.Kernel) -> str:
        raise AttributeError

    reading, writing = os.pipe()
    kernel = driven.Kernel(start=Start((), {}, "", "", "none"), uid=0, end=writing)
    await asyncio.create_task(driven.watch(kernel, fails))
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert "not watched any more" in kernel.why


@pytest.mark.parametrize("connection", ["[]", "7", "{}", '{"ip": 7, "shell_port": 1}', '{"ip": "x", "shell_port": "1"}', '{"ip": "x"}', "{"])
def test_what_is_no_connection_file_is_refused(connection: str) -> None:
    with pytest.raises(ValueError):
        _listens(connection)
