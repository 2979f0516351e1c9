"""What the receipts of kernels and of refused programs say; those of runs are made in runs.py."""

from spin_runtime.broker.admission import Refusal
from spin_runtime.broker.refusals import reason_name
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.errors.v1 import reasons_pb2


def kernel_event(boot_id: bytes, kernel_epoch: int, session_id: bytes, event: str) -> receipt_pb2.Receipt:
    nonce = run_pb2.RunNonce(boot_id=boot_id, kernel_epoch=kernel_epoch)
    return receipt_pb2.Receipt(type=receipt_pb2.RECEIPT_TYPE_KERNEL, nonce=nonce, session_id=session_id, reason=event)


def rejected(refusal: Refusal, ciphertext_digest: bytes) -> receipt_pb2.Receipt:
    """An authentic program that was refused."""
    program = refusal.program.message
    return receipt_pb2.Receipt(
        type=receipt_pb2.RECEIPT_TYPE_REJECT,
        program_digest=refusal.program.digest,
        ciphertext_digest=ciphertext_digest,
        grant_digest=refusal.grant_digest,
        nonce=program.nonce,
        session_id=program.session_id,
        reason=reason_name(refusal.denial.reason),
    )


def unauthentic(ciphertext_digest: bytes) -> receipt_pb2.Receipt:
    """What was sealed to this boot and not signed by the compiler: nothing inside is worth repeating."""
    reason = reason_name(reasons_pb2.ERROR_REASON_OPEN_FAILED)
    return receipt_pb2.Receipt(type=receipt_pb2.RECEIPT_TYPE_REJECT, ciphertext_digest=ciphertext_digest, reason=reason)
