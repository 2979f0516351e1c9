"""The Program, and the grant that it carries. docs/protocol.md, section 5. Pure.

Rules: a grant counts when auth signed it and every field of it is what was compiled, and nothing more; a Program lives 300 s at most and no
longer than its grant; its length is a multiple of 256 bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spin_services.rpc.errors import ErrorReason, ServiceError
from spinapis.envelope.v1.run_pb2 import ConnectionUse, Limits, Program, RunGrant, RunNonce

LIFE_MS = 300_000
SKEW_MS = 90_000
BLOCK = 256


@dataclass(frozen=True)
class Run:
    """What is compiled: who runs what, where, under which Hello."""

    workspace_id: bytes
    user_id: str
    actor_chain: tuple[str, ...]
    session_id: bytes
    notebook_id: bytes
    cell_id: str
    runtime_id: bytes
    boot_id: bytes
    kernel_epoch: int
    hello_digest: bytes
    source_digest: bytes


@dataclass(frozen=True)
class Behaviour:
    """How the kernel is to execute: Jupyter's flags, limits, and what is evaluated afterwards."""

    limits: Limits
    silent: bool
    store_history: bool
    allow_stdin: bool
    stop_on_error: bool
    user_expressions: dict[str, str]


@dataclass(frozen=True)
class Code:
    cell_type: str
    text: str
    uses: Sequence[ConnectionUse]
    outputs_to: Sequence[str]
    min_bundle_version: int


def check_grant(grant: RunGrant, run: Run, uses: Sequence[ConnectionUse], guarded: bool, now_ms: int) -> None:
    """Raises GRANT_MISMATCH with the name of the first field that differs."""
    found = {
        "workspace_id": grant.workspace_id == run.workspace_id,
        "user_id": grant.user_id == run.user_id,
        "actor_chain": tuple(grant.actor_chain) == run.actor_chain,
        "session_id": grant.session_id == run.session_id,
        "notebook_id": grant.notebook_id == run.notebook_id,
        "cell_id": grant.cell_id == run.cell_id,
        "runtime_id": grant.runtime_id == run.runtime_id,
        "boot_id": grant.nonce.boot_id == run.boot_id,
        "kernel_epoch": grant.nonce.kernel_epoch == run.kernel_epoch,
        "seq": grant.nonce.seq > 0,
        "hello_digest": grant.hello_digest == run.hello_digest,
        "source_digest": grant.source_digest == run.source_digest,
        "connections": [_asked_for(use) for use in grant.connections] == list(uses),
        "approvals": bool(grant.approvals) or not guarded,
        "issued_at_ms": grant.issued_at_ms <= now_ms + SKEW_MS,
        "expires_at_ms": now_ms < grant.expires_at_ms,
    }
    wrong = next((field for field, equal in found.items() if not equal), "")
    if wrong:
        raise ServiceError(ErrorReason.ERROR_REASON_GRANT_MISMATCH, field=wrong)


def _asked_for(use: ConnectionUse) -> ConnectionUse:
    """As it was asked for: the version, and who is able, are auth's to add."""
    return ConnectionUse(connection_id=use.connection_id, operations=use.operations, params_digest=use.params_digest, at_use=use.at_use)


def build_program(grant: RunGrant, signed_grant: bytes, code: Code, behaviour: Behaviour, version: str, now_ms: int) -> Program:
    """Repeats the grant's fields, which the runtime compares, and adds what runs."""
    program = Program(
        workspace_id=grant.workspace_id,
        user_id=grant.user_id,
        session_id=grant.session_id,
        notebook_id=grant.notebook_id,
        cell_id=grant.cell_id,
        runtime_id=grant.runtime_id,
        nonce=grant.nonce,
        grant=signed_grant,
        source_digest=grant.source_digest,
        code=code.text,
        limits=behaviour.limits,
        min_bundle_version=code.min_bundle_version,
        compiler_version=version,
        not_before_ms=now_ms,
        expires_at_ms=min(now_ms + LIFE_MS, grant.expires_at_ms),
        cell_type=code.cell_type,
        connections=grant.connections,
        user_expressions=behaviour.user_expressions,
        silent=behaviour.silent,
        store_history=behaviour.store_history,
        allow_stdin=behaviour.allow_stdin,
        stop_on_error=behaviour.stop_on_error,
        outputs_to=code.outputs_to,
    )
    program.padding = bytes(padding_for(program.ByteSize()))
    return program


def padding_for(size: int) -> int:
    """How many zero bytes fill a message of that size up to a block, their field's own tag and length included."""
    missing = -size % BLOCK
    if missing == 0:
        return 0
    return next(count for total in (missing, missing + BLOCK) for count in (total - 3, total - 4) if count > 0 and count + _overhead(count) == total)


def _overhead(count: int) -> int:
    """Bytes of a length-delimited field with a number above 15: tag, and length in groups of 7 bits."""
    return 2 + max(1, (count.bit_length() + 6) // 7)


def run_id(nonce: RunNonce) -> str:
    return f"{nonce.boot_id.hex()}.{nonce.kernel_epoch}.{nonce.seq}"
