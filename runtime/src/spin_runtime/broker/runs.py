"""The runs that were admitted and have not ended, and what receipts say of them."""

from dataclasses import dataclass, field

from spin_envelope.signing import Verified
from spin_runtime.broker.admission import Admitted
from spin_runtime.broker.api import BrokerError, Run, RunEnd
from spin_runtime.broker.taint import allowed_by
from spin_runtime.broker.tickets import Ticket, TicketBook
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.errors.v1 import reasons_pb2


@dataclass
class OpenRun:
    nonce: run_pb2.RunNonce
    session_id: bytes
    program_digest: bytes
    ciphertext_digest: bytes
    grant_digest: bytes
    secret: bytes = field(repr=False)
    ticket: Ticket = field(repr=False)
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


class OpenRuns:
    def __init__(self, tickets: TicketBook) -> None:
        self._tickets = tickets
        self._runs: dict[tuple[int, int], OpenRun] = {}

    def admit(self, admitted: Admitted, ciphertext_digest: bytes, socket_path: str) -> Run:
        program = admitted.program.message
        allowed = allowed_by(admitted.grant.message)
        secret, ticket = self._tickets.issue(program.nonce, list(program.connections), admitted.approved, allowed)
        digests = admitted.program.digest, ciphertext_digest, admitted.grant.digest
        run = OpenRun(program.nonce, program.session_id, *digests, secret, ticket)
        self._runs[_key(program.nonce)] = run
        return _handed_over(admitted.program, run, socket_path)

    def find(self, nonce: run_pb2.RunNonce) -> OpenRun:
        """Raises BrokerError when there is no such run."""
        run = self._runs.get(_key(nonce))
        if run is None or run.nonce.boot_id != nonce.boot_id:
            text = f"Run {nonce.seq} of kernel epoch {nonce.kernel_epoch} is not open."
            raise BrokerError(reasons_pb2.ERROR_REASON_INTERNAL, text)
        return run

    def close(self, nonce: run_pb2.RunNonce) -> OpenRun:
        """Takes the run out and kills its ticket. Raises BrokerError when there is no such run."""
        run = self.find(nonce)
        del self._runs[_key(nonce)]
        self._tickets.kill(run.secret)
        return run


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
