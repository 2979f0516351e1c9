"""Why a call failed, for its caller.

Rules: every error that leaves a service is a google.rpc.Status with ErrorInfo (domain "spin") whose reason is a value of
errors.v1.ErrorReason; the catalogue gives each reason one status code and one public text; texts and metadata are public, so they never
carry internals; an exception that nobody foresaw becomes INTERNAL with a trace id and nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from spinapis.errors.v1.reasons_pb2 import ErrorReason

__all__ = [
    "CATALOGUE",
    "ErrorReason",
    "Reason",
    "ServiceError",
    "abort",
    "already_exists",
    "etag_mismatch",
    "from_rpc_error",
    "from_status",
    "internal",
    "invalid",
    "not_found",
    "to_status",
    "unavailable",
]

DOMAIN = "spin"
STATUS_METADATA = "grpc-status-details-bin"
Reason: TypeAlias = ErrorReason.ValueType

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_NOT_FOUND = grpc.StatusCode.NOT_FOUND
_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
_DENIED = grpc.StatusCode.PERMISSION_DENIED
_UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
_ABORTED = grpc.StatusCode.ABORTED

_BY_NAME: dict[str, tuple[grpc.StatusCode, str]] = {
    "INVALID_ARGUMENT": (_INVALID, "A field is missing or malformed."),
    "NOT_FOUND": (_NOT_FOUND, "There is no such resource, or you may not see it."),
    "ALREADY_EXISTS": (grpc.StatusCode.ALREADY_EXISTS, "A resource of that name exists already."),
    "ETAG_MISMATCH": (_ABORTED, "Someone changed this since you read it: read it again and repeat the change."),
    "PAGE_TOKEN_INVALID": (_INVALID, "The page token is not one of this list: start again without it."),
    "TOO_LARGE": (_INVALID, "The message is over its size limit."),
    "INTERNAL": (grpc.StatusCode.INTERNAL, "Something failed inside; the log has it under this trace id."),
    "UNAVAILABLE": (grpc.StatusCode.UNAVAILABLE, "A part that is needed does not answer: try again."),
    "RATE_LIMITED": (_EXHAUSTED, "Too many attempts: wait before the next one."),
    "UNAUTHENTICATED": (_UNAUTHENTICATED, "Sign in first."),
    "TOKEN_EXPIRED": (_UNAUTHENTICATED, "The access token has expired: refresh it."),
    "REFRESH_REUSED": (_UNAUTHENTICATED, "This refresh token was used before, so the whole sign-in was ended: sign in again."),
    "CREDENTIALS_INVALID": (_UNAUTHENTICATED, "The e-mail or the password is wrong."),
    "SIGN_IN_LINK_INVALID": (_UNAUTHENTICATED, "This sign-in link was used or has expired: ask for a new one."),
    "PERMISSION_DENIED": (_DENIED, "Your role does not allow this."),
    "OIDC_FAILED": (_UNAUTHENTICATED, "The identity provider refused the sign-in, or answered wrongly."),
    "LAST_OWNER": (_PRECONDITION, "A workspace keeps at least one owner: make someone else an owner first."),
    "SERVICE_ONLY": (_DENIED, "This method is for other services alone."),
    "PAIRING_INVALID": (_PRECONDITION, "This pairing has expired, or is for someone else: make a new token for the runtime."),
    "PAIRING_USED": (
        _PRECONDITION,
        "This token was used before: the runtime lost its data, or another one has its token. Replace the runtime.",
    ),
    "RUNTIME_ENROLLED": (_PRECONDITION, "The runtime is paired already. If it must get a new token and a new identity, replace it."),
    "RUNTIME_NOT_CONFIRMED": (_PRECONDITION, "The runtime is not confirmed yet: compare its fingerprint with its log and confirm it."),
    "RUNTIME_REVOKED": (_PRECONDITION, "The runtime was removed from the workspace."),
    "ROOT_EXPIRED": (
        _PRECONDITION,
        "This installation's root document has expired, so nothing is believed: whoever runs it has to renew it, as docs/sign-in.md says.",
    ),
    "SIGNATURE_INVALID": (_INVALID, "A signed document does not verify for what it is used for."),
    "HELLO_STALE": (_PRECONDITION, "The runtime's hello is not of this attachment: attach again."),
    "SUITE_REFUSED": (_PRECONDITION, "The runtime has no key of the required suite: update it."),
    "CELL_INVALID": (_INVALID, "The cell does not compile."),
    "CELL_TYPE_UNKNOWN": (_INVALID, "No such cell type is installed."),
    "SOURCE_NOT_SAVED": (_PRECONDITION, "Agents run saved cells alone: save the notebook first."),
    "CONNECTION_UNUSABLE": (_PRECONDITION, "The connection does not exist, or you may not use it."),
    "APPROVAL_REQUIRED": (_PRECONDITION, "This cell uses a guarded operation: ask for an approval of it, and run it when somebody else approved."),
    "APPROVAL_CLOSED": (_PRECONDITION, "This request for approval is decided, used or over: ask again."),
    "KERNEL_TAINTED": (_PRECONDITION, "Code of somebody who may not use the connection ran in this kernel: restart the kernel."),
    "NOTEBOOK_INVALID": (_INVALID, "The notebook file cannot be read."),
    "RECEIPT_CONFLICT": (_PRECONDITION, "A receipt or an output does not fit the chain."),
    "OUTPUT_CHAIN_MISMATCH": (_PRECONDITION, "The outputs are not those that the runtime signed."),
    "OPEN_FAILED": (_INVALID, "A sealed or signed message could not be opened."),
    "NOT_PAIRED": (_PRECONDITION, "The runtime is not paired with a workspace."),
    "ORIGIN_REFUSED": (_DENIED, "The runtime does not know this origin or host."),
    "CAPABILITY_INVALID": (_DENIED, "The capability does not hold for this runtime and origin, or has expired."),
    "TRUST_EXPIRED": (_PRECONDITION, "The runtime needs a fresh trust state."),
    "ROLLBACK_REFUSED": (_PRECONDITION, "The document is older than one seen before."),
    "TIME_REFUSED": (_PRECONDITION, "Clocks differ too much, or the program's time is over."),
    "KERNEL_EPOCH_STALE": (_PRECONDITION, "The kernel was restarted since the program was compiled: run the cell again."),
    "REPLAY_REFUSED": (_PRECONDITION, "This program ran already, or a later one did."),
    "BUNDLE_STALE": (_PRECONDITION, "The runtime needs newer credentials."),
    "GRANT_MISMATCH": (_DENIED, "The grant and the program contradict each other."),
    "SCOPE_MISSING": (_DENIED, "The attachment does not include this."),
    "PROTOCOL_VIOLATION": (_INVALID, "Frames came in an order or form that the protocol does not have."),
    "KERNEL_UNKNOWN": (_NOT_FOUND, "No kernel of that name is installed on the runtime."),
    "KERNEL_FAILED": (_PRECONDITION, "The kernel could not be started, or died."),
    "POSITION_UNKNOWN": (grpc.StatusCode.OUT_OF_RANGE, "The position was never written, or is no longer kept."),
    "DRAINING": (grpc.StatusCode.UNAVAILABLE, "The runtime is going down: attach again in a moment."),
    "OPERATION_DENIED": (_DENIED, "The run was not granted this operation."),
    "OPERATION_FAILED": (_ABORTED, "The remote system refused or failed."),
    "POLICY_REFUSED": (_DENIED, "The runtime's own policy forbids this."),
    "QUEUE_FULL": (_EXHAUSTED, "The kernel's queue is full: wait for a run to end."),
    "LOG_UNPROVEN": (_PRECONDITION, "The log was not proved to continue what the runtime has seen: attach again."),
    "SECRET_REFERENCE_REFUSED": (_DENIED, "The runtime's operator does not allow this reference to a secret manager."),
    "SECRET_MANAGER_FAILED": (_PRECONDITION, "The secret manager gave no value."),
    "INPUT_REFUSED": (_DENIED, "Whoever ran the cell answers what it asks."),
}

CATALOGUE: dict[Reason, tuple[grpc.StatusCode, str]] = {ErrorReason.Value(f"ERROR_REASON_{name}"): entry for name, entry in _BY_NAME.items()}


class ServiceError(Exception):
    """What a service answers instead of a result. `text` replaces the catalogue's; `violations` are (field, description)."""

    def __init__(self, reason: Reason, text: str = "", /, *, violations: Sequence[tuple[str, str]] = (), **metadata: str) -> None:
        self.reason = reason
        self.code, public_text = CATALOGUE[reason]
        self.text = text or public_text
        self.metadata: Mapping[str, str] = metadata
        self.violations = tuple(violations)
        super().__init__(f"{ErrorReason.Name(reason)}: {self.text}")


def invalid(field: str, text: str) -> ServiceError:
    """One field of the request is wrong; `text` says how to mend it."""
    return ServiceError(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, text, violations=[(field, text)], field=field)


def not_found(resource: str, identifier: str) -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_NOT_FOUND, resource=resource, id=identifier)


def already_exists(resource: str, name: str) -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_ALREADY_EXISTS, resource=resource, name=name)


def etag_mismatch(resource: str) -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_ETAG_MISMATCH, resource=resource)


def unavailable(service: str) -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_UNAVAILABLE, service=service)


def internal(trace_id: str) -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_INTERNAL, trace_id=trace_id)


def to_status(error: ServiceError) -> status_pb2.Status:
    """The error as it travels."""
    status = status_pb2.Status(code=getattr(code_pb2, error.code.name), message=error.text)
    info = error_details_pb2.ErrorInfo(reason=ErrorReason.Name(error.reason), domain=DOMAIN, metadata=dict(error.metadata))
    status.details.add().Pack(info)
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for field, description in error.violations:
            bad.field_violations.add(field=field, description=description)
        status.details.add().Pack(bad)
    return status


def from_rpc_error(error: grpc.aio.AioRpcError, service: str) -> ServiceError:
    """What another service answered, as this service's own answer; anything that is not ours reads as "does not answer"."""
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_METADATA:
            try:
                found = from_status(status_pb2.Status.FromString(value if isinstance(value, bytes) else value.encode()))
            except DecodeError:
                found = None
            if found is not None:
                return found
    return unavailable(service)


def from_status(status: status_pb2.Status) -> ServiceError | None:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    if info.domain != DOMAIN or info.reason not in ErrorReason.DESCRIPTOR.values_by_name:
        return None
    violations = [(violation.field, violation.description) for violation in bad.field_violations]
    metadata = {name: value for name, value in info.metadata.items() if name != "violations"}
    return ServiceError(ErrorReason.Value(info.reason), status.message, violations=violations, **metadata)


async def abort(context: grpc.aio.ServicerContext, error: ServiceError) -> NoReturn:  # type: ignore[type-arg]
    """Ends the call with the error. Raises always."""
    await context.abort(error.code, error.text, ((STATUS_METADATA, to_status(error).SerializeToString()),))
    raise AssertionError("abort returned")
