"""Starting a kernel.

jupyter_client's provisioners start it, so a kernelspec may place its kernel anywhere. A local one is the launcher's, which isolates it: Unix sockets
in a box of its own, an environment made from an allow-list (never the runtime's), its own process group, limits, and death with the
runtime. ipykernel gets options that make it quicker and keep its history in memory.
"""

import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
import zmq
import zmq.asyncio
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from spin_runtime.egress.client import EgressProxies
from spin_runtime.egress.policy import mode_of, whose
from spin_runtime.kernels.api import EgressRefused
from spin_runtime.kernels.isolation.local import LaunchedProvisioner, last_words
from spin_runtime.kernels.specs import ImageSpecs
from spin_runtime.launcher import forwarder
from spin_runtime.launcher.client import IsolationUnavailable, LauncherClient, LaunchRefused
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_OPEN, IMAGED, KUBERNETES
from spinapis.envelope.v1.attach_pb2 import EgressPolicy

ALLOWED = frozenset(
    [
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM"),
        *("VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH"),
        # Cells that make requests themselves verify as the runtime does.
        "REQUESTS_CA_BUNDLE",
    ]
)
ALLOWED_PREFIXES = ("LC_",)
# Of these, what an image has its own of.
OF_MACHINE = frozenset(["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH"])
# A pod does not see the runtime's files either.
OF_NODE = OF_MACHINE | {"REQUESTS_CA_BUNDLE"}
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
LOCAL_PROVISIONER = "local-provisioner"
log = structlog.get_logger(__name__)


def kernel_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the runtime's environment a kernel sees: enough to find programs and speak the right language, nothing that may be secret."""
    return {name: value for name, value in environment.items() if name in ALLOWED or name.startswith(ALLOWED_PREFIXES)}


@dataclass(frozen=True)
class Launched:
    """A kernel whose process was started; it may still come up or fail."""

    manager: AsyncKernelManager
    directory: Path
    work: Path
    # None where the kernelspec has a provisioner of its own.
    local: LaunchedProvisioner | None
    ipykernel: bool
    context: "zmq.Context[zmq.Socket[bytes]]"
    egress: EgressPolicy
    proxies: EgressProxies
    client: LauncherClient

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

    async def moved_to(self, work: Path) -> bool:
        """Makes the kernel's folder the session's, which must hold nothing yet. What a kernel may reach are folders, not names: it moves along."""
        try:
            await self.client.rename(self.work.name, work.name)
        except LaunchRefused:
            return False
        return True

    def given(self, egress: EgressPolicy) -> "Launched":
        """The same with other hosts; the mode is what it was started with."""
        if mode_of(egress) == EGRESS_ALLOW_LIST:
            self.proxies.change(self.directory, egress)
        return replace(self, egress=egress)

    def error_tail(self) -> str:
        """The end of what the kernel wrote on stderr, for the runtime's own log. Of one that has not come up yet: no cell has read a secret in it."""
        return last_words(self.directory / "stderr")

    async def stopped(self) -> None:
        """Gives back what a dead kernel held: its process, ports, files."""
        if self.manager.provisioner is not None:
            await self.manager.provisioner.wait()
        self.proxies.close_one(self.directory)
        await self.manager.cleanup_resources()
        # A launcher that has ended took everything along.
        with suppress(LaunchRefused):
            await self.client.discard(self.directory)


class Launcher:
    def __init__(self, environment: Mapping[str, str], kind: str, client: LauncherClient, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self._environment = kernel_environment(environment)
        self._contained = kind in IMAGED
        self._of_machine = OF_NODE if kind == KUBERNETES else OF_MACHINE
        self.client, self._context = client, context
        # jupyter_client insists on this class; it shares the sockets' threads.
        self._manager_context = zmq.asyncio.Context.shadow(context.underlying)
        self._proxies = EgressProxies(self._environment)
        self.specs = KernelSpecManager()

    async def begin(self) -> None:
        """Raises IsolationUnavailable, LaunchRefused."""
        await self.client.begin()
        if self._contained:
            self.specs = ImageSpecs(self.client.kernels, self.client.python)

    async def check(self, kernel_name: str, egress: EgressPolicy) -> None:
        """Raises EgressRefused where the kernel would reach more."""
        mode = mode_of(egress)
        if mode == EGRESS_OPEN:
            return
        if not (self._contained or _placed_here(self.specs.get_kernel_spec(kernel_name))):
            raise EgressRefused(f"The kernel {kernel_name} is started by a provisioner of its own, which {_cannot(egress)}: choose another kernel.")
        try:
            await self.client.enforce(mode)
        except IsolationUnavailable as error:
            log.warning("a workspace's egress policy cannot be enforced", mode=mode, why=str(error))
            raise EgressRefused(f"This runtime {_cannot(egress)}: {error}.") from error

    async def launch(self, kernel_name: str, workdir: Path, egress: EgressPolicy) -> Launched:
        """`check` has found nothing."""
        box = await self.client.box()
        manager = AsyncKernelManager(
            kernel_name=kernel_name,
            kernel_spec_manager=self.specs,
            context=self._manager_context,
            connection_file=str(box / "connection.json"),
            autorestart=False,
        )
        environment = {name: value for name, value in self._environment.items() if not (self._contained and name in self._of_machine)}
        arguments: dict[str, object] = {"env": environment, "cwd": str(workdir)}
        ipykernel, local = False, None
        # Nothing that an image says leads out of its containers.
        if self._contained or _is_local(manager):
            ipykernel = _is_ipykernel(manager)
            if ipykernel:
                quicken(spec_of(manager), {self.client.python} if self._contained else _PYTHON_HERE)
            manager.transport, manager.ip = "ipc", str(box / "s")
            manager.provisioner = local = self._provisioner(manager, box, mode_of(egress))
            arguments["extra_arguments"] = list(IPYKERNEL_OPTIONS) if ipykernel else []
        else:
            manager.transport_encryption = "auto"
        try:
            if mode_of(egress) == EGRESS_ALLOW_LIST:
                self._proxies.open(box, egress)
                arguments["env"] = environment | forwarder.environment()
            await manager.start_kernel(**arguments)
        except BaseException:
            self._proxies.close_one(box)
            with suppress(LaunchRefused):
                await self.client.discard(box)
            raise
        return Launched(manager, box, workdir, local, ipykernel, self._context, egress, self._proxies, self.client)

    def _provisioner(self, manager: AsyncKernelManager, box: Path, egress: str) -> LaunchedProvisioner:
        provisioner = LaunchedProvisioner(kernel_id=manager.kernel_id, kernel_spec=manager.kernel_spec, parent=manager)
        provisioner.launcher, provisioner.box, provisioner.egress = self.client, box, egress
        return provisioner

    async def close(self) -> None:
        await self.client.close()
        await self._proxies.close()


def _cannot(egress: EgressPolicy) -> str:
    return f"cannot hold a kernel to the egress {mode_of(egress)} that it is to have by {whose(egress)}"


def spec_of(manager: AsyncKernelManager) -> KernelSpec:
    spec: KernelSpec | None = manager.kernel_spec
    assert spec is not None, "the pool looked the name up"
    return spec


def _is_local(manager: AsyncKernelManager) -> bool:
    return _placed_here(spec_of(manager))


def _placed_here(spec: KernelSpec) -> bool:
    provisioner = spec.metadata.get("kernel_provisioner", {})
    return bool(provisioner.get("provisioner_name", LOCAL_PROVISIONER) == LOCAL_PROVISIONER)


def _is_ipykernel(manager: AsyncKernelManager) -> bool:
    return any(argument in _IPYKERNELS for argument in spec_of(manager).argv)


def quicken(spec: KernelSpec, pythons: Collection[str] = _PYTHON_HERE) -> None:
    """Our program in place of ipykernel's; a Python of its own need not have ours."""
    if spec.argv[0] in pythons:
        spec.argv = [spec.argv[0], "-P", *(OUR_PROGRAM if argument in _IPYKERNELS else argument for argument in spec.argv[1:])]
