"""Whether a program may run: the checks of docs/protocol.md, section 5, in their order. Pure but for the ledger's seq.

     1 size      2 header      3 opening      4 the compiler's signature      5 auth's signature on the grant      6 fields that both repeat
     7 trust     8 times       9 kernel      10 seq (compare and set)        11 bundle version                    12 principals, local policy

- The first failure ends it. Up to the fourth check there is no program that anybody vouches for, so the refusal is one text and has no
  details; from the fifth on it names its reason and the run's nonce.
- Between two checks nothing waits, so nobody else's program comes in between compare and set.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from spin_envelope.errors import Refused
from spin_envelope.hpke_keys import RecipientKey
from spin_envelope.payloads import payload_type
from spin_envelope.sealing import Opened, header_of, open_sealed
from spin_envelope.signing import Verified
from spin_runtime.broker.approvals import check_approvals
from spin_runtime.broker.attachment import Known
from spin_runtime.broker.kernels import KernelLedger
from spin_runtime.broker.refusals import Denial, open_failed
from spin_runtime.broker.taint import check_principals, leave_of, principal_of, whole_run
from spin_runtime.broker.trust import SKEW_MS, Trust, check_may_run, check_not_revoked, clocks
from spin_runtime.broker.witness import check_proved
from spinapis.envelope.v1 import run_pb2
from spinapis.errors.v1 import reasons_pb2

PROGRAM = payload_type(run_pb2.Program)
BUNDLE = payload_type(run_pb2.CredentialBundle)
PROGRAM_VALIDITY_MS = 300 * 1000
REPEATED = ("workspace_id", "user_id", "session_id", "notebook_id", "cell_id", "runtime_id", "nonce", "source_digest")


@dataclass(frozen=True)
class Policy:
    """What whoever operates the runtime allows; empty `cell_types` allows all."""

    cell_types: frozenset[str] = frozenset()
    connections: bool = True


@dataclass(frozen=True)
class Facts:
    """What the runtime knows at the moment of the decision."""

    trust: Trust
    boot_id: bytes
    now_ms: int
    # The time by which trust runs out.
    trust_ms: int
    # 0 when no bundle can be used.
    bundle_version: int
    policy: Policy = Policy()
    # Ids of the keys of this boot that are gone.
    retired_keys: Collection[bytes] = ()


@dataclass(frozen=True)
class Admitted:
    program: Verified[run_pb2.Program]
    grant: Verified[run_pb2.RunGrant]
    # By a second person.
    approved: bool


@dataclass(frozen=True)
class Refusal:
    """An authentic program that may not run; `grant_digest` is empty when the grant does not verify."""

    program: Verified[run_pb2.Program]
    grant_digest: bytes
    denial: Denial


def open_for(data: bytes, keys: Sequence[RecipientKey], facts: Facts) -> Opened:
    """Checks 1 to 3. Raises Refused, and Denial for what is sealed to a key that was replaced."""
    header = header_of(data)
    grant = facts.trust.grant
    if header.recipient_key_id in facts.retired_keys:
        # The header is in the clear and anybody may have written it: this says nothing about what is sealed.
        text = "The runtime's key was replaced since this session attached: attach again and repeat."
        raise Denial(reasons_pb2.ERROR_REASON_HELLO_STALE, text, "sealed to a key of this boot that is gone")
    opened = open_sealed(data, keys, workspace_id=grant.workspace_id, runtime_id=grant.runtime_id, boot_id=facts.boot_id, min_suite=facts.trust.suite)
    if opened.content_type not in (PROGRAM, BUNDLE):
        raise Refused(f"{opened.content_type!r} is nothing that a runtime opens")
    return opened


def authentic_program(signed: bytes, facts: Facts) -> Verified[run_pb2.Program]:
    """Check 4. Raises Refused."""
    return facts.trust.root.verify(signed, run_pb2.Program, facts.now_ms)


def decide(program: Verified[run_pb2.Program], client: Known, facts: Facts, ledger: KernelLedger) -> Admitted | Refusal:
    """Checks 5 to 12. An admitted program has its seq taken, and its kernel remembers in whose name it came."""
    try:
        grant = facts.trust.root.verify(program.message.grant, run_pb2.RunGrant, facts.now_ms)
    except Refused as refused:
        return Refusal(program, b"", open_failed(refused.why))
    try:
        _check_repeated(program.message, grant.message, client, facts)
        approved = check_approvals(grant.message, facts.trust, facts.now_ms)
        check_may_run(facts.trust, facts.trust_ms)
        check_not_revoked(facts.trust, program.key_ids, grant.key_ids)
        check_proved(facts.trust.log, client.log_size)
        _check_times(program.message, grant.message, facts.now_ms)
        _check_kernel(program.message, facts, ledger)
        _take_seq(program.message.nonce, ledger)
        _check_bundle(program.message, facts)
        _check_principals(grant.message, ledger)
        _check_policy(program.message, facts.policy)
    except Denial as denial:
        return Refusal(program, grant.digest, denial)
    ledger.admitted(program.message.nonce.kernel_epoch, principal_of(grant.message))
    return Admitted(program, grant, approved)


def _check_repeated(program: run_pb2.Program, grant: run_pb2.RunGrant, client: Known, facts: Facts) -> None:
    for field in REPEATED:
        if getattr(program, field) != getattr(grant, field):
            raise _mismatch(f"program and grant differ in {field}")
    if list(program.connections) != list(grant.connections):
        raise _mismatch("program and grant differ in connections")
    enrolled = facts.trust.grant
    if (program.workspace_id, program.runtime_id) != (enrolled.workspace_id, enrolled.runtime_id):
        raise _mismatch("signed for another runtime, sealed to this one")
    if (program.session_id, program.notebook_id, program.user_id) != (client.session_id, client.notebook_id, client.user_id):
        raise _mismatch("the program is of another session, notebook or user than the client's")


def _check_times(program: run_pb2.Program, grant: run_pb2.RunGrant, now_ms: int) -> None:
    issued = max(program.not_before_ms, grant.issued_at_ms)
    if now_ms < issued - SKEW_MS:
        raise _time("is not valid yet: one of the clocks is wrong", now_ms, issued)
    if now_ms > min(program.expires_at_ms, grant.expires_at_ms) + SKEW_MS:
        raise _time("has expired, or one of the clocks is wrong", now_ms, issued)
    if max(program.expires_at_ms - program.not_before_ms, grant.expires_at_ms - grant.issued_at_ms) > PROGRAM_VALIDITY_MS:
        raise _time("is valid for longer than 300 seconds", now_ms, issued)


def _check_kernel(program: run_pb2.Program, facts: Facts, ledger: KernelLedger) -> None:
    nonce = program.nonce
    if nonce.boot_id != facts.boot_id or ledger.session_of(nonce.kernel_epoch) != program.session_id:
        raise Denial(
            reasons_pb2.ERROR_REASON_KERNEL_EPOCH_STALE,
            "The kernel was restarted or stopped since this was compiled: run the cell again.",
            f"kernel epoch {nonce.kernel_epoch} is not live in this session",
        )


def _take_seq(nonce: run_pb2.RunNonce, ledger: KernelLedger) -> None:
    if not ledger.take(nonce.kernel_epoch, nonce.seq):
        raise Denial(
            reasons_pb2.ERROR_REASON_REPLAY_REFUSED,
            "This program, or a later one, was handed in already: run the cell again.",
            f"seq {nonce.seq} of kernel epoch {nonce.kernel_epoch} is not above the last one",
        )


def _check_bundle(program: run_pb2.Program, facts: Facts) -> None:
    needed = program.min_bundle_version
    if any(use.connection_id for use in program.connections):
        needed = max(needed, facts.trust.state.min_bundle_version, 1)
    if facts.bundle_version < needed:
        raise Denial(
            reasons_pb2.ERROR_REASON_BUNDLE_STALE,
            "The runtime's credentials are older than this cell needs: synchronise them and run the cell again.",
            f"bundle {facts.bundle_version} where {needed} is needed",
        )


def _check_principals(grant: run_pb2.RunGrant, ledger: KernelLedger) -> None:
    if whole_run(grant.connections):
        present = ledger.principals(grant.nonce.kernel_epoch) | {principal_of(grant)}
        check_principals(present, leave_of(grant).principals, "The connections of this cell")


def _check_policy(program: run_pb2.Program, policy: Policy) -> None:
    if policy.cell_types and program.cell_type not in policy.cell_types:
        raise _forbidden("cell_types", f"{program.cell_type!r} cells")
    if not policy.connections and any(use.connection_id for use in program.connections):
        raise _forbidden("connections", "the use of connections")


def _forbidden(policy: str, what: str) -> Denial:
    return Denial(reasons_pb2.ERROR_REASON_POLICY_REFUSED, f"This runtime's own policy does not allow {what}.", policy=policy)


def _mismatch(why: str) -> Denial:
    return Denial(reasons_pb2.ERROR_REASON_GRANT_MISMATCH, "The grant and the program contradict each other: run the cell again.", why)


def _time(what: str, now_ms: int, issued_ms: int) -> Denial:
    return Denial(
        reasons_pb2.ERROR_REASON_TIME_REFUSED,
        f"The program {what}. {clocks(now_ms, issued_ms)}",
        runtime_clock_ms=str(now_ms),
        issued_at_ms=str(issued_ms),
    )
