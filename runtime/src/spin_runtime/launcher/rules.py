"""What one launcher holds all its kernels to, decided once and never loosened, and what each kernel is started with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PROCESS = "process"
SANDBOX = "sandbox"
CONTAINER = "container"
KUBERNETES = "kubernetes"
# Where kernels come out of an image.
IMAGED = (CONTAINER, KUBERNETES)
EGRESS_NONE = "none"
EGRESS_ALLOW_LIST = "allow_list"
EGRESS_OPEN = "open"
# From the strictest on.
EGRESS = (EGRESS_NONE, EGRESS_ALLOW_LIST, EGRESS_OPEN)
# In the kernel's box: where the proxy listens that an allow-list leads through.
EGRESS_SOCKET = "egress.sock"


class Unable(Exception):
    """The machine cannot give the isolation; the text says what is missing and how to mend it."""


@dataclass(frozen=True)
class EngineRules:
    """Of kernels in containers."""

    address: str
    image: str
    # Empty for the engine's own default.
    runtime: str
    # Of all that runs in one kernel; 0 for no limit.
    cpus: float

    @property
    def gvisor(self) -> bool:
        return self.runtime.startswith("runsc")


@dataclass(frozen=True)
class PodRules:
    """Of kernels in pods."""

    # Empty for the service account of the runtime's own pod, with which the API server is at `server`, host:port.
    kubeconfig: str
    server: str
    # Where kernels' pods are; empty for the runtime's own namespace.
    namespace: str
    # The runtime's own pod and its namespace; empty where they are found out.
    own_pod: str
    own_namespace: str
    image: str
    # A runtime class; empty for the cluster's default.
    runtime: str
    # 0 for no limit.
    cpus: float
    # The volume that the runtime's own data are on; empty where files end with their kernel.
    claim: str
    # Of the session's folder, without a claim.
    work_bytes: int
    # A pod's longest life; 0 for no end.
    deadline_s: int
    # The range that pods' users are taken from without a claim: first, last.
    uids: tuple[int, int]


@dataclass(frozen=True)
class Rules:
    kind: str
    # The most that a kernel is given.
    egress: str
    # What a confined kernel may read and execute beside the system's own files.
    readable: Sequence[str]
    # The runtime's own data: no path that is readable may hold it.
    private: str
    # Of /tmp and /dev/shm, each; where they are the kernel's own.
    scratch_bytes: int
    processes: int
    memory_bytes: int
    # The range that kernels' own users are taken from, first and last; None where kernels are the launcher's user.
    uids: tuple[int, int] | None
    # Whose requests come, and whose group reaches kernels' sockets and files.
    server: int
    group: int
    # Whose sockets kernels are given.
    broker: int
    # Where kernels are containers.
    engine: EngineRules | None = None
    # Where kernels are pods.
    pods: PodRules | None = None


def rules_of(wanted: Mapping[str, Any]) -> Rules:
    """As the supervisor wrote them."""
    engine, pods, uids = wanted.get("engine"), wanted.get("pods"), wanted["uids"]
    own = {"engine": EngineRules(**engine) if engine else None, "pods": PodRules(**{**pods, "uids": tuple(pods["uids"])}) if pods else None}
    return Rules(**{**wanted, "uids": uids and tuple(uids), **own})


def check_egress(rules: Rules, egress: str) -> None:
    """Raises Unable."""
    if EGRESS.index(egress) > EGRESS.index(rules.egress):
        raise Unable(f"this launcher gives kernels the egress {rules.egress} at most")


@dataclass(frozen=True)
class Start:
    argv: Sequence[str]
    environment: Mapping[str, str]
    # The session's files.
    work: str
    # The kernel's own: connection file, sockets, home.
    box: str
    egress: str


@dataclass(frozen=True)
class Machine:
    """What this machine gives, found out by trying."""

    root: bool
    landlock_abi: int
    # Why there are no namespaces; empty when there are.
    namespaces_refused: str

    @property
    def namespaces(self) -> bool:
        return not self.namespaces_refused
