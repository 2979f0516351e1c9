"""The records of `api.py` as messages of the boundary, and back. Nothing is decided here."""

from spin_runtime.broker.api import (
    Attachment,
    BrokerError,
    BundleStored,
    LiveKernel,
    LogProof,
    Rejected,
    Run,
    RunEnd,
    Status,
    TrustStored,
)
from spinapis.runtime.v1 import boundary_pb2 as b
from spinapis.runtime.v1 import frames_pb2


def failure(error: BrokerError) -> b.BoundaryFailure:
    return b.BoundaryFailure(reason=error.reason, text=error.text, metadata=error.metadata)


def error_of(message: b.BoundaryFailure) -> BrokerError:
    return BrokerError(message.reason, message.text, **message.metadata)


def status(record: Status) -> b.BrokerStatus:
    return b.BrokerStatus(
        paired=record.paired,
        fingerprint=record.fingerprint,
        workspace_id=record.workspace_id,
        runtime_id=record.runtime_id,
        boot_id=record.boot_id,
        trust_expires_at_ms=record.trust_expires_at_ms,
        allowed_origins=record.allowed_origins,
        allowed_hosts=record.allowed_hosts,
        trust_phase=record.trust_phase,
        runs_until_ms=record.runs_until_ms,
    )


def status_of(message: b.BrokerStatus) -> Status:
    return Status(
        paired=message.paired,
        fingerprint=message.fingerprint,
        workspace_id=message.workspace_id,
        runtime_id=message.runtime_id,
        boot_id=message.boot_id,
        trust_expires_at_ms=message.trust_expires_at_ms,
        allowed_origins=tuple(message.allowed_origins),
        allowed_hosts=tuple(message.allowed_hosts),
        trust_phase=message.trust_phase,
        runs_until_ms=message.runs_until_ms,
    )


def attachment(record: Attachment) -> b.AttachedClient:
    return b.AttachedClient(
        client=record.handle,
        session_id=record.session_id,
        scopes=record.scopes,
        expires_at_ms=record.expires_at_ms,
        egress=record.egress,
    )


def attachment_of(message: b.AttachedClient) -> Attachment:
    return Attachment(message.client, message.session_id, frozenset(message.scopes), message.expires_at_ms, message.egress)


def trust(record: TrustStored) -> b.StoredTrust:
    return b.StoredTrust(**vars(record))


def trust_of(message: b.StoredTrust) -> TrustStored:
    return TrustStored(
        root_version=message.root_version,
        trust_version=message.trust_version,
        expires_at_ms=message.expires_at_ms,
        log_size=message.log_size,
        trust_phase=message.trust_phase,
        runs_until_ms=message.runs_until_ms,
    )


def log_proof(record: LogProof | None) -> frames_pb2.LogProof | None:
    return None if record is None else frames_pb2.LogProof(from_size=record.from_size, note=record.note, hashes=record.hashes)


def log_proof_of(call: b.AcceptTrust) -> LogProof | None:
    proof = call.log_proof
    return LogProof(proof.from_size, proof.note, tuple(proof.hashes)) if call.HasField("log_proof") else None


def kernel(record: LiveKernel) -> b.LiveKernel:
    return b.LiveKernel(kernel_epoch=record.kernel_epoch, session_id=record.session_id)


def kernel_of(message: b.LiveKernel) -> LiveKernel:
    return LiveKernel(message.kernel_epoch, message.session_id)


def run(record: Run) -> b.AdmittedRun:
    return b.AdmittedRun(**vars(record))


def run_of(message: b.AdmittedRun) -> Run:
    return Run(
        nonce=message.nonce,
        session_id=message.session_id,
        notebook_id=message.notebook_id,
        cell_id=message.cell_id,
        user_id=message.user_id,
        code=message.code,
        limits=message.limits,
        ciphertext_digest=message.ciphertext_digest,
        program_digest=message.program_digest,
        grant_digest=message.grant_digest,
        silent=message.silent,
        store_history=message.store_history,
        allow_stdin=message.allow_stdin,
        stop_on_error=message.stop_on_error,
        user_expressions=dict(message.user_expressions),
        ticket=message.ticket,
        socket_path=message.socket_path,
    )


def rejected(record: Rejected) -> b.RejectedRun:
    return b.RejectedRun(**vars(record))


def rejected_of(message: b.RejectedRun) -> Rejected:
    return Rejected(
        nonce=message.nonce,
        session_id=message.session_id,
        cell_id=message.cell_id,
        user_id=message.user_id,
        ciphertext_digest=message.ciphertext_digest,
        reason=message.reason,
        text=message.text,
    )


def bundle(record: BundleStored) -> b.StoredBundle:
    return b.StoredBundle(bundle_version=record.bundle_version, expires_at_ms=record.expires_at_ms)


def bundle_of(message: b.StoredBundle) -> BundleStored:
    return BundleStored(message.bundle_version, message.expires_at_ms)


def end(record: RunEnd) -> b.EndRun:
    return b.EndRun(**vars(record))


def end_of(message: b.EndRun) -> RunEnd:
    return RunEnd(message.nonce, message.status, message.frames, message.output_digest, message.truncated, message.reason)
