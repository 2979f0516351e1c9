"""The runs that were admitted and have not ended, and what receipts say of them.

The server says when a run ends. One of which it never does is ended here all the same, once it can be nothing but forgotten:

- its kernel ended, or trust did, a grace ago;
- it ran for longer than its limit and a grace;
- it never started though its program expired, and its kernel has had nothing else to do for a grace.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from spin_envelope.signing import Verified
from spin_runtime.broker.admission import Admitted
from spin_runtime.broker.api import BrokerError, Run, RunEnd
from spin_runtime.broker.taint import Principal, leave_of, principal_of
from spin_runtime.broker.tickets import Ticket, TicketBook
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.errors.v1 import reasons_pb2

# Beyond what an honest server needs to interrupt a run, to kill its kernel, and to say so.
GRACE_MS = 120_000
BEREFT = "Its kernel ended, or the trust in the runtime, and the runtime's server never said how the run did."
TOO_LONG = "Its limit of time was over, and the runtime's server never said how it ended."
NEVER_STARTED = "The runtime's server never started it."


@dataclass
class OpenRun:
    nonce: run_pb2.RunNonce
    session_id: bytes
    principal: Principal
    program_digest: bytes
    ciphertext_digest: bytes
    grant_digest: bytes
    secret: bytes = field(repr=False)
    ticket: Ticket = field(repr=False)
    # When the program expires; for how long it may run, 0 without a limit. By the clock that only passes.
    expires_ms: int = 0
    wall_ms: int = 0
    started_ms: int | None = None
    # Since when its kernel, or all trust, is gone.
    bereft_ms: int | None = None
    # Outputs that receipts have spoken of.
    frames: int = 0
    output_digest: bytes = bytes(32)

    def receipt(self, kind: receipt_pb2.ReceiptType.ValueType) -> receipt_pb2.Receipt:
        return receipt_pb2.Receipt(
            type=kind,
            nonce=self.nonce,
            session_id=self.session_id,
            program_digest=self.program_digest,
            ciphertext_digest=self.ciphertext_digest,
            grant_digest=self.grant_digest,
        )

    def start(self) -> receipt_pb2.Receipt:
        receipt = self.receipt(receipt_pb2.RECEIPT_TYPE_START)
        receipt.output_digest = bytes(32)
        return receipt

    def progress(self) -> receipt_pb2.Receipt:
        receipt = self.receipt(receipt_pb2.RECEIPT_TYPE_PROGRESS)
        receipt.frames, receipt.output_digest = self.frames, self.output_digest
        receipt.operations.extend(self.ticket.operations())
        return receipt

    def end(self, end: RunEnd) -> receipt_pb2.Receipt:
        receipt = self.receipt(receipt_pb2.RECEIPT_TYPE_END)
        receipt.frames, receipt.output_digest, receipt.truncated = end.frames, end.output_digest or bytes(32), end.truncated
        receipt.status, receipt.reason = end.status, end.reason
        receipt.operations.extend(self.ticket.operations())
        return receipt

    def forgotten(self, why: str) -> receipt_pb2.Receipt:
        """The end of a run that nobody ended: of what it did, what the last receipt says is all that is known."""
        status = receipt_pb2.RUN_STATUS_ABORTED if self.started_ms is None else receipt_pb2.RUN_STATUS_LOST
        return self.end(RunEnd(self.nonce, status, self.frames, self.output_digest, False, why))


class OpenRuns:
    def __init__(self, tickets: TicketBook) -> None:
        self._tickets = tickets
        self._runs: dict[tuple[int, int], OpenRun] = {}
        # When a run of the kernel ended last.
        self._quiet_ms: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def admit(self, admitted: Admitted, ciphertext_digest: bytes, socket_path: str, valid_ms: int, now_ms: int) -> Run:
        """`valid_ms` is how long the program is valid from now on."""
        program = admitted.program.message
        leave = leave_of(admitted.grant.message)
        secret, ticket = self._tickets.issue(program.nonce, list(program.connections), admitted.approved, leave)
        digests = admitted.program.digest, ciphertext_digest, admitted.grant.digest
        whose = principal_of(admitted.grant.message)
        run = OpenRun(program.nonce, program.session_id, whose, *digests, secret, ticket, now_ms + valid_ms, program.limits.wall_ms)
        self._runs[_key(program.nonce)] = run
        return _handed_over(admitted.program, run, socket_path)

    def find(self, nonce: run_pb2.RunNonce) -> OpenRun:
        """Raises BrokerError when there is no such run."""
        run = self._runs.get(_key(nonce))
        if run is None or run.nonce.boot_id != nonce.boot_id:
            text = f"Run {nonce.seq} of kernel epoch {nonce.kernel_epoch} is not open."
            raise BrokerError(reasons_pb2.ERROR_REASON_INTERNAL, text)
        return run

    def close(self, nonce: run_pb2.RunNonce, now_ms: int) -> OpenRun:
        """Takes the run out and kills its ticket. Raises BrokerError when there is no such run."""
        run = self.find(nonce)
        del self._runs[_key(nonce)]
        self._tickets.kill(run.secret)
        if run.started_ms is not None and run.bereft_ms is None:
            self._quiet_ms[nonce.kernel_epoch] = now_ms
        return run

    def bereave(self, now_ms: int, kernel_epoch: int | None = None) -> None:
        """The kernel is gone, or without one named, all trust: what the server says of the ends is waited for a little."""
        for run in self._runs.values():
            if kernel_epoch in (None, run.nonce.kernel_epoch) and run.bereft_ms is None:
                run.bereft_ms = now_ms
                run.ticket.die()
        if kernel_epoch is not None:
            self._quiet_ms.pop(kernel_epoch, None)

    def overdue(self, now_ms: int) -> list[tuple[OpenRun, str]]:
        """Those that the server has forgotten, each with why it is taken to be."""
        busy = {run.nonce.kernel_epoch for run in self._runs.values() if run.started_ms is not None}
        found = [(run, self._why_overdue(run, busy, now_ms)) for run in self._runs.values()]
        return [(run, why) for run, why in found if why]

    def _why_overdue(self, run: OpenRun, busy: Collection[int], now_ms: int) -> str:
        epoch = run.nonce.kernel_epoch
        if run.bereft_ms is not None:
            return BEREFT if now_ms >= run.bereft_ms + GRACE_MS else ""
        if run.started_ms is not None:
            return TOO_LONG if run.wall_ms and now_ms >= run.started_ms + run.wall_ms + GRACE_MS else ""
        waits_since = max(run.expires_ms, self._quiet_ms.get(epoch, 0))
        return NEVER_STARTED if epoch not in busy and now_ms >= waits_since + GRACE_MS else ""


def _key(nonce: run_pb2.RunNonce) -> tuple[int, int]:
    return nonce.kernel_epoch, nonce.seq


def _handed_over(program: Verified[run_pb2.Program], run: OpenRun, socket_path: str) -> Run:
    message = program.message
    return Run(
        nonce=message.nonce,
        session_id=message.session_id,
        notebook_id=message.notebook_id,
        cell_id=message.cell_id,
        user_id=message.user_id,
        code=message.code,
        limits=message.limits,
        ciphertext_digest=run.ciphertext_digest,
        program_digest=run.program_digest,
        grant_digest=run.grant_digest,
        silent=message.silent,
        store_history=message.store_history,
        allow_stdin=message.allow_stdin,
        stop_on_error=message.stop_on_error,
        user_expressions=dict(message.user_expressions),
        ticket=run.secret,
        socket_path=socket_path,
    )
