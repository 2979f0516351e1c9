"""A platform in a process of its own, on free ports: for tests and benchmarks. It is `make up`'s program and nothing else."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scripts.platform import programs
from scripts.platform.settings import ROOT, Settings, from_environment

START_TIMEOUT_S = 100.0
FIRST_PORT, BLOCK, BLOCKS = 20000, 20, 600


class NotStarted(Exception):
    """With the last lines that it printed."""


def free_ports() -> dict[str, str]:
    """Ports for one platform and what is started beside it, outside the range from which the system hands out its own.

    By lot: of two platforms that start at once, each finds all of its ports free before the other listens.
    """
    start = secrets.randbelow(BLOCKS)
    for base in (FIRST_PORT + (start + number) % BLOCKS * BLOCK for number in range(BLOCKS)):
        if all(is_free(base + offset) for offset in range(BLOCK)):
            return {"SPIN_SERVICE_PORT_BASE": str(base), "SPIN_GATEWAY_PORT": str(base + 10), "SPIN_RUNTIME_PORT": str(base + 11)}
    raise RuntimeError("no free ports")


def is_free(port: int) -> bool:
    """Whether nobody listens there on this machine."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass
class RunningPlatform:
    """`make up` in a process of its own. `lines` is what it printed so far."""

    settings: Settings
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    # Seconds until a page could be opened, and the time at which the process was started.
    usable_after_s: float = 0.0
    born: float = field(default_factory=time.monotonic)
    _ready: threading.Event = field(default_factory=threading.Event)
    _reader: threading.Thread | None = None

    @property
    def link(self) -> str:
        """The sign-in link that it printed."""
        return next(match[1] for line in self.lines if (match := re.match(r"Open (\S+)", line)))

    def new_token(self) -> str:
        """Another one-time sign-in token, made as an operator makes it."""
        command = [str(programs.BIN / "spin-service"), "sign-in-link"]
        done = subprocess.run(command, env=programs.service_environment(self.settings), capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.strip().rpartition("token=")[2]

    def child(self, name: str) -> psutil.Process:
        """The process of that name: services, gateway or runtime, or the runtime's own broker, launcher or server."""
        marks = {"services": "spin-service", "gateway": "envoy.yaml", "runtime": "spin-runtime"}
        marks |= {"broker": "spin_runtime.broker.process", "launcher": "spin_runtime.launcher", "server": "spin_runtime.serve"}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            if any(marks[name] in part for part in child.cmdline()):
                return child
        raise LookupError(name)

    def listen(self) -> None:
        """Reads what it prints, until it ends."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if "signing in" in line:
                self.usable_after_s = time.monotonic() - self.born
            if line.startswith("Open "):
                self._ready.set()
        self._ready.set()
        self.process.stdout.close()

    def wait_ready(self) -> None:
        if not self._ready.wait(START_TIMEOUT_S) or not any(line.startswith("Open ") for line in self.lines):
            self.stop()
            raise NotStarted("the platform did not start:\n" + "\n".join(self.lines[-30:]))

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait(60)
        if self._reader is not None:
            self._reader.join(10)
        return status


def start_apart(data: Path, **extra: str) -> RunningPlatform:
    """Starts and waits until the sample ran."""
    environment = {**os.environ, **free_ports(), "SPIN_DATA": str(data), "PYTHONUNBUFFERED": "1", **extra}
    command = [sys.executable, "-m", "scripts.platform", "up"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    running = RunningPlatform(from_environment(environment, data), process)
    running.listen()
    running.wait_ready()
    return running
