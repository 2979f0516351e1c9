"""The runtime as a witness of its home's log. docs/protocol.md, section 7. Pure.

- The first checkpoint is taken on first use. From then on a larger one counts only with a proof that it continues the one held.
- What is held never shrinks and never forks: a smaller or contradicting checkpoint is refused, and that is an alarm, not an error.
- The note must be signed by a key that audit has today. The one held was verified when it came; its size and root hash stand for themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spin_envelope.errors import Refused
from spin_envelope.keys import VerifyKey
from spin_envelope.merkle import verify_consistency
from spin_envelope.note import Checkpoint, open_note, unverified_checkpoint
from spin_runtime.broker.api import LogProof
from spin_runtime.broker.refusals import Denial, log
from spinapis.errors.v1 import reasons_pb2


@dataclass(frozen=True)
class Log:
    """The checkpoint that the runtime holds: the note as carried, and what it says."""

    note: bytes = b""
    size: int = 0
    root_hash: bytes = b""


NOTHING_SEEN = Log()


@dataclass(frozen=True)
class Signers:
    """Who may sign the log's notes: audit's keys of the root document, and the log's name."""

    keys: Iterable[VerifyKey]
    origin: str

    def opened(self, note: bytes) -> Checkpoint:
        return open_note(note, self.keys, self.origin)


def shown(known: Log, note: bytes, signers: Signers) -> Log:
    """A checkpoint without proof, from a trust state: the first one is taken, a later one must not contradict. Raises Refused and Denial."""
    if not note:
        return known
    checkpoint = signers.opened(note)
    if not known.note:
        return _held(note, checkpoint)
    if checkpoint.size < known.size:
        raise _contradiction(known, checkpoint, "which is fewer")
    _check_same(known, checkpoint)
    return known


def proved(known: Log, proof: LogProof, signers: Signers) -> Log:
    """The checkpoint that the proof leads to. Raises Refused for what audit did not sign, and Denial."""
    checkpoint = signers.opened(proof.note)
    if not known.note:
        return _held(proof.note, checkpoint)
    if proof.from_size > known.size:
        raise _foreign(known, checkpoint, proof)
    if checkpoint.size < proof.from_size:
        raise _contradiction(known, checkpoint, "which is fewer")
    if checkpoint.size < known.size:
        # Another client's proof has led further in the meantime.
        return known
    _check_same(known, checkpoint)
    if checkpoint.size > known.size:
        _check_continues(known, checkpoint, proof)
    return _held(proof.note, checkpoint)


def shown_size(note: bytes, origin: str) -> int:
    """The size that a note of an accepted trust state names; 0 without one."""
    return unverified_checkpoint(note, origin).size if note else 0


def check_proved(known: Log, needed: int) -> None:
    """Raises Denial while the log is not proved up to the size that a session was shown."""
    if known.size < needed:
        raise _unproven(known, needed, f"The audit log is said to have {needed} entries, and is proved to this runtime up to {known.size}")


def _check_same(known: Log, checkpoint: Checkpoint) -> None:
    if checkpoint.size == known.size and checkpoint.root_hash != known.root_hash:
        raise _contradiction(known, checkpoint, "and these are others")


def _check_continues(known: Log, checkpoint: Checkpoint, proof: LogProof) -> None:
    if proof.from_size != known.size:
        raise _foreign(known, checkpoint, proof)
    try:
        verify_consistency(known.size, known.root_hash, checkpoint.size, checkpoint.root_hash, proof.hashes)
    except Refused:
        raise _contradiction(known, checkpoint, "which do not continue them") from None


def _held(note: bytes, checkpoint: Checkpoint) -> Log:
    return Log(note, checkpoint.size, checkpoint.root_hash)


def _foreign(known: Log, checkpoint: Checkpoint, proof: LogProof) -> Denial:
    return _unproven(known, checkpoint.size, f"The log's proof begins at {proof.from_size} entries, and this runtime has seen {known.size} by now")


def _unproven(known: Log, needed: int, what: str) -> Denial:
    text = f"{what}: attach again, which brings the proof, and repeat. Nothing new runs until then."
    return Denial(reasons_pb2.ERROR_REASON_LOG_UNPROVEN, text, known_size=str(known.size), needed_size=str(needed))


def _contradiction(known: Log, checkpoint: Checkpoint, how: str) -> Denial:
    log.error("audit_log_contradicts", origin=checkpoint.origin, known_size=known.size, shown_size=checkpoint.size)
    text = (
        f"The audit log {checkpoint.origin} contradicts what this runtime has seen: {known.size} entries then, {checkpoint.size} now, {how}. "
        "It was rewritten, forked or set back. Run nothing until that is explained; exports from before show what it said."
    )
    return Denial(reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED, text, document="checkpoint", known_size=str(known.size), shown_size=str(checkpoint.size))
