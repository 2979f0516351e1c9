"""Starting a kernel's process.

jupyter_client's provisioners start it, so a kernelspec may place its kernel anywhere. For a local process: Unix sockets in a directory
of its own, an environment made from an allow-list (never the runtime's), its own process group, a limit on memory, and death
with the runtime. ipykernel gets options that make it quicker and keep its history in memory.
"""

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zmq
import zmq.asyncio
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

ALLOWED = frozenset(
    [
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM"),
        *("VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH"),
        # Cells that make requests themselves verify as the runtime does.
        "REQUESTS_CA_BUNDLE",
    ]
)
ALLOWED_PREFIXES = ("LC_",)
IPYKERNEL_OPTIONS = (
    "--HistoryManager.hist_file=:memory:",
    "--IPythonKernel._execute_sleep=0",
    # DataFrames show as tables.
    "--IPKernelApp.extra_extensions=spin_kernel",
)
# What stands in for ipykernel's own program where the kernel is of this Python: see there.
OUR_PROGRAM = "spin_kernel.app"
_IPYKERNELS = frozenset({"ipykernel_launcher", "ipykernel"})
_PYTHON_HERE = frozenset({sys.executable, "python", f"python{sys.version_info[0]}", f"python{sys.version_info[0]}.{sys.version_info[1]}"})
# A kernel that publishes faster than it is read waits, instead of dropping messages as ZeroMQ's publishers do or filling the
# runtime's memory: its side is told not to drop, and ours keeps few. Kernels that cannot be told are read without a limit.
IPYKERNEL_WAITS = f"(lambda t: t.schedule(lambda: t.socket.setsockopt({int(zmq.XPUB_NODROP)}, 1)))(get_ipython().kernel.iopub_thread)"
IOPUB_QUEUE = 128
# A Unix socket's path holds 107 bytes; names of kernels and sockets need some of them.
LONGEST_FOLDER = 85
LOCAL_PROVISIONER = "local-provisioner"
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def kernel_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the runtime's environment a kernel sees: enough to find programs and speak the right language, nothing that may be secret."""
    return {name: value for name, value in environment.items() if name in ALLOWED or name.startswith(ALLOWED_PREFIXES)}


@dataclass(frozen=True)
class Launched:
    """A kernel whose process was started; it may still come up or fail."""

    manager: AsyncKernelManager
    directory: Path
    local: bool
    ipykernel: bool
    context: "zmq.Context[zmq.Socket[bytes]]"

    def connect(self, channel: str, identity: bytes = b"") -> "zmq.Socket[bytes]":
        """A socket to one of the kernel's channels, encrypted where the kernel's are."""
        manager = self.manager
        socket = self.context.socket(zmq.SUB if channel == "iopub" else zmq.DEALER)
        if channel == "iopub" and self.ipykernel:
            socket.setsockopt(zmq.RCVHWM, IOPUB_QUEUE)
        if identity:
            socket.setsockopt(zmq.IDENTITY, identity)
        if manager.curve_publickey is not None:
            socket.curve_secretkey = manager.curve_secretkey
            socket.curve_publickey = socket.curve_serverkey = manager.curve_publickey
        socket.connect(manager._make_url(channel))
        if channel == "iopub":
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        return socket

    @property
    def pid(self) -> int | None:
        pid = getattr(self.manager.provisioner, "pid", None)
        return pid if self.local and isinstance(pid, int) else None

    def error_tail(self) -> str:
        """The end of what the kernel wrote on stderr, for the runtime's own log."""
        try:
            return (self.directory / "stderr").read_bytes()[-2000:].decode(errors="replace").strip()
        except OSError:
            return ""

    async def stopped(self) -> None:
        """Gives back what a dead kernel held: its zombie, ports, files."""
        if self.manager.provisioner is not None:
            await self.manager.provisioner.wait()
        await self.manager.cleanup_resources()
        shutil.rmtree(self.directory, ignore_errors=True)


class Launcher:
    def __init__(self, environment: Mapping[str, str], memory_bytes: int, context: "zmq.Context[zmq.Socket[bytes]]", folder: Path) -> None:
        """`folder` is this runtime's alone: what a killed one left there goes."""
        self._environment = kernel_environment(environment)
        self._memory_bytes = memory_bytes
        self._context = context
        # jupyter_client insists on this class; it shares the sockets' threads.
        self._manager_context = zmq.asyncio.Context.shadow(context.underlying)
        self._root = _emptied(folder) if len(str(folder)) <= LONGEST_FOLDER else Path(tempfile.mkdtemp(prefix="spin-k-"))

    @property
    def memory_bytes(self) -> int:
        return self._memory_bytes

    async def launch(self, kernel_name: str, workdir: Path) -> Launched:
        directory = Path(tempfile.mkdtemp(dir=self._root))
        manager = AsyncKernelManager(
            kernel_name=kernel_name,
            context=self._manager_context,
            connection_file=str(directory / "connection.json"),
            autorestart=False,
        )
        local = _is_local(manager)
        ipykernel = local and _is_ipykernel(manager)
        arguments: dict[str, object] = {"env": dict(self._environment), "cwd": str(workdir)}
        if local:
            manager.transport, manager.ip = "ipc", str(directory / "s")
            arguments["preexec_fn"] = _in_child(self._memory_bytes, os.getpid())
            if ipykernel:
                quicken(spec_of(manager))
                arguments["extra_arguments"] = list(IPYKERNEL_OPTIONS)
        else:
            manager.transport_encryption = "auto"
        with ExitStack() as files:
            if local:
                # Never the runtime's own: a kernel must not write into its log.
                arguments |= {"stderr": files.enter_context(_opened(directory / "stderr")), "stdout": subprocess.DEVNULL}
            try:
                await manager.start_kernel(**arguments)
            except BaseException:
                shutil.rmtree(directory, ignore_errors=True)
                raise
        return Launched(manager, directory, local, ipykernel, self._context)

    def close(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder


def _opened(path: Path) -> BinaryIO:
    return path.open("wb")


def spec_of(manager: AsyncKernelManager) -> KernelSpec:
    spec: KernelSpec | None = manager.kernel_spec
    assert spec is not None, "the pool looked the name up"
    return spec


def _is_local(manager: AsyncKernelManager) -> bool:
    provisioner = spec_of(manager).metadata.get("kernel_provisioner", {})
    return bool(provisioner.get("provisioner_name", LOCAL_PROVISIONER) == LOCAL_PROVISIONER)


def _is_ipykernel(manager: AsyncKernelManager) -> bool:
    return any(argument in _IPYKERNELS for argument in spec_of(manager).argv)


def quicken(spec: KernelSpec) -> None:
    """Our program in place of ipykernel's; a Python of its own need not have ours."""
    if spec.argv[0] in _PYTHON_HERE:
        spec.argv = [OUR_PROGRAM if argument in _IPYKERNELS else argument for argument in spec.argv]


def _in_child(memory_bytes: int, parent: int) -> Callable[[], None]:
    """What runs between fork and exec: system calls alone."""

    def prepare() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # the runtime died before the call above
        os.umask(0o077)
        if memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return prepare
