"""What one launcher holds all its kernels to, decided once and never loosened, and what each kernel is started with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PROCESS = "process"
SANDBOX = "sandbox"
EGRESS_OPEN = "open"
EGRESS_NONE = "none"


@dataclass(frozen=True)
class Rules:
    kind: str
    egress: str
    # What a confined kernel may read and execute beside the system's own files.
    readable: Sequence[str]
    # The runtime's own data: no path that is readable may hold it.
    private: str
    # Of /tmp and /dev/shm, each; where they are the kernel's own.
    scratch_bytes: int
    processes: int
    memory_bytes: int
    # The range that kernels' own users are taken from when the launcher is root: first, last.
    uids: tuple[int, int]
    # Whose members reach kernels' sockets and files: the server's group.
    group: int


@dataclass(frozen=True)
class Start:
    argv: Sequence[str]
    environment: Mapping[str, str]
    # The session's files.
    work: str
    # The kernel's own: connection file, sockets, home.
    box: str


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
