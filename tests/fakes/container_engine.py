"""A Docker engine of the tests' own, with its own socket and data, where this machine lets one run: as root, with dockerd installed."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.fakes import kernel_image

IMAGE, BARE = "spin-kernel-under-test", "spin-without-a-kernel"
UP_WITHIN_S, TRIES_S = 60.0, 0.1


def runnable() -> bool:
    return os.geteuid() == 0 and shutil.which("dockerd") is not None


@dataclass(frozen=True)
class ContainerEngine:
    socket: Path
    process: "subprocess.Popen[bytes]"

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def docker(self, *arguments: str, stdin: int | None = None) -> str:
        command = ["docker", "--host", self.address, *arguments]
        return subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=True, timeout=120).stdout.strip()

    def left(self) -> list[str]:
        return self.docker("ps", "--all", "--quiet").split()

    def build(self, name: str, distributions: tuple[str, ...], *, ours: bool) -> None:
        with tempfile.TemporaryFile() as tar:
            kernel_image.write(tar, distributions=distributions, ours=ours)
            tar.seek(0)
            self.docker("import", "-", name, stdin=tar.fileno())


@contextmanager
def engine() -> Iterator[ContainerEngine]:
    """With the images of kernels and of nothing in particular."""
    with tempfile.TemporaryDirectory(prefix="spin-docker-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        process = _started(folder)
        try:
            running = ContainerEngine(folder / "docker.sock", process)
            _until_it_answers(running, folder)
            running.build(IMAGE, kernel_image.DISTRIBUTIONS, ours=True)
            running.build(BARE, (), ours=False)
            yield running
        finally:
            process.terminate()
            process.wait(30)


def _started(folder: Path) -> "subprocess.Popen[bytes]":
    # Not the machine's own configuration. gVisor has to let the runtime's sockets pass.
    gvisor = {"runsc": {"path": shutil.which("runsc"), "runtimeArgs": ["--host-uds=all"]}} if shutil.which("runsc") else {}
    (folder / "daemon.json").write_text(json.dumps({"runtimes": gvisor}))
    command = [
        *("dockerd", "--config-file", str(folder / "daemon.json"), "--host", f"unix://{folder}/docker.sock", "--data-root", str(folder / "data")),
        # Its own bridge would take addresses that another engine here has.
        *("--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false"),
    ]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def _until_it_answers(running: ContainerEngine, folder: Path) -> None:
    end = time.monotonic() + UP_WITHIN_S
    while True:
        try:
            running.docker("version")
            return
        except subprocess.SubprocessError:
            if running.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"dockerd does not start here: {(folder / 'log').read_text()[-1000:]}") from None
            time.sleep(TRIES_S)


@cache
def starts() -> bool:
    """Whether an engine can be started on this machine: found out by starting one."""
    if not runnable():
        return False
    with tempfile.TemporaryDirectory(prefix="spin-docker-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        process = _started(folder)
        try:
            _until_it_answers(ContainerEngine(folder / "docker.sock", process), folder)
        except RuntimeError:
            return False
        finally:
            process.terminate()
            process.wait(30)
    return True
