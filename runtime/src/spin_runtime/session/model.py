"""What a session knows, what can happen to it, and what it wants done. Plain values: deciding is in `decide`, doing in `driver`."""

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TypeAlias

from spin_runtime.broker.api import Attachment, Run
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

RunStatus: TypeAlias = receipt_pb2.RunStatus.ValueType
KernelPhase: TypeAlias = frames_pb2.KernelPhase.ValueType
RunPhase: TypeAlias = frames_pb2.RunPhase.ValueType
Reason: TypeAlias = reasons_pb2.ErrorReason.ValueType


@dataclass(frozen=True)
class Rules:
    """The runtime's own limits. 0 means none."""

    queue: int = 256
    wall_ms: int = 0
    # How long a run may go on after it was interrupted by a limit or by the runtime's stop, before its kernel is killed.
    grace_ms: int = 5_000
    # A kernel that replied but never says that it is idle, or the other way round, is done after this.
    idle_wait_ms: int = 2_000
    # A kernel that has just become busy may not have reached the code yet, and would lose a signal.
    settle_ms: int = 50
    repeat_ms: int = 1_000
    idle_cull_ms: int = 0


class Stage(Enum):
    STARTING = auto()
    RUNNING = auto()
    ENDING = auto()


@dataclass(frozen=True)
class Current:
    """The run that the kernel has."""

    run: Run
    stage: Stage = Stage.STARTING
    # 0: not yet.
    busy_ms: int = 0
    idle_ms: int = 0
    reply: RunStatus | None = None
    replied_ms: int = 0
    deadline_ms: int = 0
    # Set when it was told to stop: how its end is called, and when its kernel is killed (0: never).
    stopped_as: RunStatus | None = None
    kill_ms: int = 0
    # An interrupt that came before the code was surely running waits until then, and is repeated once.
    interrupt_ms: int = 0
    interrupts: int = 0
    input_id: str = ""


@dataclass(frozen=True)
class KernelView:
    phase: KernelPhase = frames_pb2.KERNEL_PHASE_NONE
    name: str = ""
    epoch: int = 0
    language: str = ""
    message: str = ""
    # Whose programs came for it, in the order in which they came.
    user_ids: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        return self.phase in (frames_pb2.KERNEL_PHASE_IDLE, frames_pb2.KERNEL_PHASE_BUSY)

    @property
    def coming(self) -> bool:
        return self.live or self.phase == frames_pb2.KERNEL_PHASE_STARTING


@dataclass(frozen=True)
class State:
    rules: Rules
    kernel: KernelView = field(default_factory=KernelView)
    current: Current | None = None
    queue: tuple[Run, ...] = ()
    active_ms: int = 0
    inputs: int = 0
    # Counts kernel starts, so that one which was overtaken by a stop is told from the one that followed.
    starts: int = 0
    # While trust has expired, a kernel whose run is over is held.
    trusted: bool = True
    # When the runtime stops: until when the current run may go on; None while it does not.
    drain_ms: int | None = None
    drained: bool = False

    def with_current(self, **changes: object) -> "State":
        assert self.current is not None
        return replace(self, current=replace(self.current, **changes))  # type: ignore[arg-type]


# What can happen


@dataclass(frozen=True)
class Submit:
    run: Run
    now_ms: int


@dataclass(frozen=True)
class StartKernelWanted:
    name: str
    now_ms: int
    by: Attachment


@dataclass(frozen=True)
class RestartWanted:
    now_ms: int
    by: Attachment


@dataclass(frozen=True)
class StopWanted:
    message: str


@dataclass(frozen=True)
class KernelUp:
    start: int
    name: str
    language: str
    epoch: int
    now_ms: int
    # What people should know of it while it lives.
    message: str = ""


@dataclass(frozen=True)
class KernelFailed:
    start: int
    message: str


@dataclass(frozen=True)
class KernelGone:
    epoch: int
    message: str


@dataclass(frozen=True)
class RunExecuting:
    nonce: run_pb2.RunNonce
    now_ms: int


@dataclass(frozen=True)
class RunNotStarted:
    nonce: run_pb2.RunNonce
    message: str
    reason: Reason = reasons_pb2.ERROR_REASON_UNSPECIFIED


@dataclass(frozen=True)
class RunBusy:
    now_ms: int


@dataclass(frozen=True)
class RunIdle:
    now_ms: int


@dataclass(frozen=True)
class RunReplied:
    status: RunStatus
    now_ms: int


@dataclass(frozen=True)
class RunRecorded:
    """The run's END receipt is durable."""

    nonce: run_pb2.RunNonce
    now_ms: int


@dataclass(frozen=True)
class InterruptWanted:
    now_ms: int
    clear_queue: bool = False


@dataclass(frozen=True)
class CancelWanted:
    nonce: run_pb2.RunNonce


@dataclass(frozen=True)
class InputWanted:
    prompt: str
    password: bool


@dataclass(frozen=True)
class InputGiven:
    request_id: str
    value: str


@dataclass(frozen=True)
class Tick:
    now_ms: int


@dataclass(frozen=True)
class TrustLost:
    """Nothing may run any more: for now (TRUST_EXPIRED), or for ever (RUNTIME_REVOKED)."""

    now_ms: int
    reason: Reason
    message: str


@dataclass(frozen=True)
class TrustBack:
    """A newer trust state came after it had expired."""


@dataclass(frozen=True)
class Drain:
    now_ms: int
    grace_ms: int


Event = (
    Submit
    | StartKernelWanted
    | RestartWanted
    | StopWanted
    | KernelUp
    | KernelFailed
    | KernelGone
    | RunExecuting
    | RunNotStarted
    | RunBusy
    | RunIdle
    | RunReplied
    | RunRecorded
    | InterruptWanted
    | CancelWanted
    | InputWanted
    | InputGiven
    | Tick
    | TrustLost
    | TrustBack
    | Drain
)


# What is wanted done


@dataclass(frozen=True)
class ShowQueued:
    run: Run


@dataclass(frozen=True)
class ShowKernel:
    """Tells the session's clients how its kernel is now."""

    kernel: KernelView
    queue_length: int


@dataclass(frozen=True)
class StartRun:
    run: Run


@dataclass(frozen=True)
class EndRun:
    """Writes the END receipt and then says so; `RunRecorded` follows."""

    run: Run
    status: RunStatus
    message: str = ""
    reason: Reason = reasons_pb2.ERROR_REASON_UNSPECIFIED


@dataclass(frozen=True)
class InterruptKernel:
    pass


@dataclass(frozen=True)
class HoldKernel:
    """Nothing of it goes on, with its variables kept; or it goes on again."""

    held: bool


@dataclass(frozen=True)
class AskInput:
    run: Run
    request_id: str
    prompt: str
    password: bool


@dataclass(frozen=True)
class SendInput:
    value: str


@dataclass(frozen=True)
class StartKernel:
    start: int
    name: str
    # The client that asked for it: the broker begins no kernel for anybody else.
    by: Attachment


@dataclass(frozen=True)
class StopKernel:
    epoch: int
    reason: str


@dataclass(frozen=True)
class Refuse:
    """Tells the client that asked, and nobody else."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Drained:
    pass


Action = (
    ShowQueued | ShowKernel | StartRun | EndRun | InterruptKernel | HoldKernel | AskInput | SendInput | StartKernel | StopKernel | Refuse | Drained
)
Decision = tuple[State, tuple[Action, ...]]
