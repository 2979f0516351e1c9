"""What a runtime's receipts mean: their chain, and what each one says of its run. Pure.

- A receipt counts when its number follows the last one and it names that one's digest. What comes early is held until the gap is filled.
- The same number with another digest, or a successor that names another predecessor, is a fork: the runtime (or whoever has its key or an old
  copy of its disk) said two things.
- A REJECT ends a run only if it neither started nor ended: a replay names the nonce of a run that was fine. It may even come before that run's START,
  while the run waits in the queue; START and END take it back.
- Kernels run in order of seq: a START shows that what came before it in its kernel and never started never will. So does the next boot.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from spin_envelope.chain import START
from spin_services.audit.domain import RunId
from spinapis.envelope.v1.receipt_pb2 import Receipt, ReceiptType

NO_RECEIPT = bytes(32)
# Of a REJECT that gives no reason: the run was rejected all the same.
UNNAMED = "UNSPECIFIED"
_NOT_REJECTED: dict[str, Any] = {"ended_at_ms": 0, "ended_index": None, "reject_reason": "", "settled": False}


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt whose signature was verified."""

    receipt: Receipt
    digest: bytes
    data: bytes

    @property
    def seq(self) -> int:
        return self.receipt.receipt_seq


@dataclass(frozen=True, slots=True)
class Chain:
    """How far a runtime's receipts go without a gap."""

    last_seq: int = 0
    last_digest: bytes = NO_RECEIPT
    boot_id: str = ""


@dataclass(slots=True)
class Plan:
    """What an upload changes."""

    chain: Chain
    accepted: list[SignedReceipt] = field(default_factory=list)
    held: list[SignedReceipt] = field(default_factory=list)
    forks: list[SignedReceipt] = field(default_factory=list)

    @property
    def gap(self) -> tuple[int, int] | None:
        """First and last number of the first stretch that is missing."""
        if not self.held:
            return None
        return self.chain.last_seq + 1, min(receipt.seq for receipt in self.held) - 1


def plan_upload(chain: Chain, known: Mapping[int, bytes], held: Iterable[SignedReceipt], uploaded: Iterable[SignedReceipt]) -> Plan:
    """`known` has the digests of receipts seen before, at least for the uploaded numbers; `held` those that wait for a gap."""
    plan = Plan(chain)
    seen = dict(known)
    waiting = {receipt.seq: receipt for receipt in held}
    for receipt in sorted(uploaded, key=lambda one: one.seq):
        if seen.setdefault(receipt.seq, receipt.digest) != receipt.digest or (receipt.seq <= chain.last_seq and receipt.seq not in known):
            plan.forks.append(receipt)
        elif receipt.seq not in known:
            waiting[receipt.seq] = receipt
    while (following := waiting.pop(plan.chain.last_seq + 1, None)) is not None:
        if following.receipt.prev_digest != plan.chain.last_digest:
            plan.forks.append(following)
            break
        plan.accepted.append(following)
        plan.chain = Chain(following.seq, following.digest, following.receipt.boot_id.hex())
    plan.held = sorted(waiting.values(), key=lambda one: one.seq)
    return plan


def run_id_of(receipt: Receipt) -> RunId | None:
    """The run a receipt speaks of; None for those about a boot or a kernel."""
    if not receipt.HasField("nonce") or not receipt.nonce.seq:
        return None
    return RunId(receipt.nonce.boot_id.hex(), receipt.nonce.kernel_epoch, receipt.nonce.seq)


def type_name(receipt: Receipt) -> str:
    """ "receipt.start" and so on."""
    return "receipt." + ReceiptType.Name(receipt.type).removeprefix("RECEIPT_TYPE_").lower()


def concerns(receipt: Receipt, run: Mapping[str, Any]) -> bool:
    """Whether a receipt that names a run says anything of it: the rejection of a replay does not."""
    return receipt.type != ReceiptType.RECEIPT_TYPE_REJECT or (run["started_index"] is None and run["ended_index"] is None)


def run_changes(receipt: Receipt, index: int, run: Mapping[str, Any]) -> dict[str, Any]:
    """What a receipt that concerns a run changes in its row; `index` is the receipt's place in the log."""
    if receipt.type == ReceiptType.RECEIPT_TYPE_START:
        return {"started_at_ms": receipt.time_ms, "started_index": index} | (_NOT_REJECTED if run["reject_reason"] else {})
    if receipt.type == ReceiptType.RECEIPT_TYPE_REJECT:
        return {"ended_at_ms": receipt.time_ms, "ended_index": index, "reject_reason": receipt.reason or UNNAMED, "settled": True}
    if receipt.type == ReceiptType.RECEIPT_TYPE_END:
        return {
            "ended_at_ms": receipt.time_ms,
            "ended_index": index,
            "status": receipt.status,
            "truncated": receipt.truncated,
            "frames": receipt.frames,
            "output_digest": receipt.output_digest or START,
            "operations": _operations(receipt),
        } | ({"reject_reason": "", "settled": False} if run["reject_reason"] else {})
    if receipt.type == ReceiptType.RECEIPT_TYPE_PROGRESS and receipt.operations:
        return {"operations": _operations(receipt)}
    return {}


def _operations(receipt: Receipt) -> bytes:
    return Receipt(operations=receipt.operations).SerializeToString()


class Outputs(Enum):
    """How the stored outputs of a run stand to its end receipt."""

    AWAITED = "awaited"
    VERIFIED = "verified"
    MISMATCH = "mismatch"


def judge_outputs(stored: int, chain: bytes, frames: int, output_digest: bytes) -> Outputs:
    """Compare what is stored, and the chain's value over it, with what the runtime signed at the end."""
    if stored < frames:
        return Outputs.AWAITED
    return Outputs.VERIFIED if (stored, chain) == (frames, output_digest) else Outputs.MISMATCH
