"""What a session needs of a kernel. jupyter_client stands behind it; sessions never see ZeroMQ or Jupyter's message dictionaries."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spinapis.envelope.v1.attach_pb2 import EgressPolicy


@dataclass(frozen=True)
class KernelMessage:
    """One message that a kernel published or replied.

    content, metadata and buffers are the bytes as the kernel wrote them. `parent` is the msg_id of the request that it belongs to.
    """

    msg_type: str
    parent: str
    content: bytes
    metadata: bytes
    buffers: Sequence[bytes] = ()


@dataclass(frozen=True)
class SpecInfo:
    name: str
    display_name: str
    language: str


@dataclass(frozen=True)
class Execute:
    code: str
    silent: bool = False
    store_history: bool = True
    allow_stdin: bool = True
    stop_on_error: bool = True
    user_expressions: Mapping[str, str] | None = None
    # Goes into the request's metadata under "spin": the broker's socket and the ticket, for spin_kernel alone.
    metadata: Mapping[str, object] | None = None


# Called with messages in the order of arrival, several at a time when they come fast.
Sink = Callable[[Sequence[KernelMessage]], None]


class KernelStartFailed(Exception):
    """The kernel did not come up; the text is for people."""


class EgressRefused(KernelStartFailed):
    """The kernel would have got more of a network than its workspace allows; the text says whose mend it is."""


class Kernel(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def alive(self) -> bool: ...

    def subscribe(self, sink: Sink) -> None:
        """Sets the one receiver of iopub messages, execute_reply and input_request."""

    def pause(self) -> None:
        """Stops reading the kernel's output until `resume`: backpressure when the disk cannot follow."""

    def resume(self) -> None: ...

    async def execute(self, request: Execute) -> str:
        """Sends it and returns its msg_id; replies come to the sink."""

    async def admit(self, socket_path: str) -> str:
        """Lets this kernel, and no other, reach a socket of the broker's; returns where it finds it."""

    async def limit_memory(self, limit_bytes: int) -> None:
        """Lowers what the kernel may allocate until the next call; 0 restores the runtime's own limit. Does nothing where it cannot."""

    @property
    def egress(self) -> EgressPolicy:
        """Where it may connect to."""

    async def interrupt(self) -> None: ...
    async def hold(self, held: bool) -> None:
        """Stops its processes with all that they have in memory, or lets them go on."""

    async def input_reply(self, value: str) -> None: ...
    async def complete(self, code: str, cursor: int) -> Mapping[str, object]: ...
    async def inspect(self, code: str, cursor: int, detail_level: int) -> Mapping[str, object]: ...
    async def request(self, msg_type: str, content: bytes) -> tuple[str, bytes]:
        """A read-only shell request, passed through; returns the reply's type and content."""

    async def stop(self) -> None:
        """Ends the kernel, by force after a short wait."""

    def on_death(self, callback: Callable[[str], Awaitable[None]]) -> None:
        """Calls back once, with a text for people, when the kernel ends by itself."""


class KernelPool(Protocol):
    def specs(self) -> Sequence[SpecInfo]: ...

    def given(self, egress: EgressPolicy | None) -> EgressPolicy:
        """What of a workspace's policy a kernel gets here."""

    async def take(self, kernel_name: str, workdir: Path, egress: EgressPolicy | None = None) -> Kernel:
        """A started kernel in the working directory, from the spares when one waits; it reaches what the policy and the runtime both allow.

        Raises LookupError for an unknown name, KernelStartFailed when it does not come up, EgressRefused where the policy cannot be enforced.
        """

    async def close(self) -> None: ...
