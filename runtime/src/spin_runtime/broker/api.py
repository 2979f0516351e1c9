"""The broker's boundary.

Keys, opening envelopes, credentials and cells' process halves live behind this interface and nowhere else. Arguments and results are
bytes and plain dataclasses, so that the other side can be another process. Methods that refuse raise `BrokerError`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spinapis.envelope.v1 import attach_pb2, receipt_pb2, run_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2


class BrokerError(Exception):
    """A refusal: a reason of the catalogue and a text that is fit for the client."""

    def __init__(self, reason: reasons_pb2.ErrorReason.ValueType, text: str, /, **metadata: str) -> None:
        super().__init__(text)
        self.reason, self.text, self.metadata = reason, text, metadata


@dataclass(frozen=True)
class Attachment:
    """An authenticated client, as far as the server needs to know it. To the broker it is its handle; the rest is not asked back."""

    handle: bytes
    session_id: bytes
    scopes: frozenset[int]
    # When the handle ends.
    expires_at_ms: int
    # Where kernels that it starts may connect to, at most: nowhere, where the capability says nothing.
    egress: attach_pb2.EgressPolicy = field(default_factory=attach_pb2.EgressPolicy)


@dataclass(frozen=True)
class Run:
    """A program that passed every check and has its seq taken; it starts when its turn comes."""

    nonce: run_pb2.RunNonce
    session_id: bytes
    notebook_id: bytes
    cell_id: str
    user_id: str
    code: str
    limits: run_pb2.Limits
    ciphertext_digest: bytes
    program_digest: bytes
    grant_digest: bytes
    silent: bool
    store_history: bool
    allow_stdin: bool
    stop_on_error: bool
    user_expressions: dict[str, str]
    # What the kernel needs to reach the broker during this run.
    ticket: bytes
    socket_path: str


@dataclass(frozen=True)
class Rejected:
    """An authentic program that was refused; its receipt is written."""

    nonce: run_pb2.RunNonce
    session_id: bytes
    cell_id: str
    user_id: str
    ciphertext_digest: bytes
    reason: reasons_pb2.ErrorReason.ValueType
    text: str


@dataclass(frozen=True)
class BundleStored:
    bundle_version: int
    expires_at_ms: int


@dataclass(frozen=True)
class TrustStored:
    root_version: int
    trust_version: int
    expires_at_ms: int
    # Of the checkpoint that the runtime holds now.
    log_size: int
    trust_phase: trust_pb2.TrustPhase.ValueType
    # When the runtime stops running code.
    runs_until_ms: int


@dataclass(frozen=True)
class LogProof:
    """A signed note, and the hashes that lead to it from the tree of `from_size` entries."""

    from_size: int
    note: bytes
    hashes: tuple[bytes, ...]


@dataclass(frozen=True)
class LiveKernel:
    """A kernel that programs may be admitted to: its epoch and whose session it is."""

    kernel_epoch: int
    session_id: bytes


@dataclass(frozen=True)
class RunEnd:
    nonce: run_pb2.RunNonce
    status: receipt_pb2.RunStatus.ValueType
    frames: int
    output_digest: bytes
    truncated: bool
    reason: str = ""


@dataclass(frozen=True)
class Status:
    """What the server may show: whether it is paired, and the fingerprint for a person to compare."""

    paired: bool
    fingerprint: bytes
    workspace_id: bytes
    runtime_id: bytes
    boot_id: bytes
    trust_expires_at_ms: int
    allowed_origins: Sequence[str] = field(default_factory=tuple)
    allowed_hosts: Sequence[str] = field(default_factory=tuple)
    trust_phase: trust_pb2.TrustPhase.ValueType = trust_pb2.TRUST_PHASE_UNSPECIFIED
    # When the runtime stops running code.
    runs_until_ms: int = 0


class Broker(Protocol):
    async def status(self) -> Status: ...

    # Pairing (docs/protocol.md, section 3)
    async def pairing_start(self) -> bytes:
        """The signed EnrolRequest; BrokerError when the runtime is paired already."""

    async def pairing_finish(self, enrol_grant: bytes, root_documents: Sequence[bytes]) -> Status: ...

    # Attach (section 4)
    async def hello(
        self,
        capability: bytes,
        challenge: bytes,
        nonce_b: bytes,
        session_key: bytes,
        origin: str,
        root_documents: Sequence[bytes],
        trust_state: bytes,
    ) -> tuple[bytes, bytes]:
        """Checks the capability offline and returns the signed Hello with a handle, which is good for one `attach`."""

    async def attach(self, handle: bytes, client_auth: bytes) -> Attachment: ...

    async def detach(self, handle: bytes) -> None:
        """The client is gone, before or after it was attached. Handles that are not known change nothing."""

    async def accept_trust(self, root_documents: Sequence[bytes], trust_state: bytes, log_proof: LogProof | None = None) -> TrustStored: ...

    async def wait_trust(self, known: trust_pb2.TrustPhase.ValueType) -> Status:
        """Returns when the phase of trust is another one than this."""

    # Kernels: the broker admits programs to live epochs alone
    async def kernel_started(self, handle: bytes, kernel_name: str) -> LiveKernel:
        """Allocates the next epoch for the session of an attached client that may run, and writes the KERNEL receipt."""

    async def kernel_ended(self, kernel_epoch: int, reason: str) -> None: ...

    # Runs (sections 5 and 6)
    async def open_sealed(self, sealed: bytes, handle: bytes) -> Run | Rejected | BundleStored:
        """Performs the checks of section 5 in their order. BrokerError(OPEN_FAILED) when it is not even authentic."""

    async def run_started(self, nonce: run_pb2.RunNonce) -> None:
        """Writes the START receipt, durably, and makes the ticket valid."""

    async def may_answer(self, handle: bytes, nonce: run_pb2.RunNonce) -> None:
        """Returns when the run is the attached client's own, so that what it types may reach the run's code; else BrokerError."""

    async def run_progress(self, nonce: run_pb2.RunNonce, frames: int, output_digest: bytes) -> None: ...

    async def run_ended(self, end: RunEnd) -> None:
        """Kills the ticket and writes the END receipt, durably. Also ends a run that never started (ABORTED, LOST)."""

    # Receipts (section 7)
    async def receipts_after(self, receipt_seq: int, limit: int) -> Sequence[tuple[int, bytes]]:
        """Unacknowledged signed receipts with a higher number, in order."""

    async def wait_receipts(self, receipt_seq: int) -> None:
        """Returns when a receipt with a higher number exists."""

    async def acknowledge(self, receipt_ack: bytes) -> None: ...

    async def close(self) -> None: ...
