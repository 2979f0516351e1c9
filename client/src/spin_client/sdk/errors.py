"""What can go wrong, in one class.

A `SpinError` says what happened (`text`), why (`reason`, a name of the platform's catalogue without its prefix) and how to go on (`hint`).
gRPC's own exceptions are turned into it at one border, `from_rpc`; the runtime's error frames at another, `from_frame`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

PREFIX = "ERROR_REASON_"

# Reasons that no service sends: the client itself came to these conclusions.
NOT_REACHABLE = "NOT_REACHABLE"
NOT_SIGNED_IN = "NOT_SIGNED_IN"
TRUST_REFUSED = "TRUST_REFUSED"
LOG_REFUSED = "LOG_REFUSED"
RUN_FAILED = "RUN_FAILED"

_HINTS = {
    NOT_REACHABLE: "Check the address and that the platform is up.",
    NOT_SIGNED_IN: "Sign in with `spinctl login`.",
    "UNAUTHENTICATED": "Sign in with `spinctl login`.",
    "TOKEN_EXPIRED": "Sign in again with `spinctl login`.",
    "REFRESH_REUSED": "The sign-in was used in two places and is closed. Sign in again with `spinctl login`.",
    "CREDENTIALS_INVALID": "Check the e-mail address and the password, or ask an owner for a sign-in link.",
    "SIGN_IN_LINK_INVALID": "Links work once, for 24 hours. Ask an owner for a new one, or run `spin-service sign-in-link` on the platform's host.",
    "PERMISSION_DENIED": "Ask an owner of the workspace for a role that includes it.",
    "ETAG_MISMATCH": "Read it again and repeat the change.",
    "RATE_LIMITED": "Wait a moment and try again.",
    "UNAVAILABLE": "Try again in a moment.",
    "RUNTIME_NOT_CONFIRMED": "Compare the fingerprint with the runtime's log, then run `spinctl runtime confirm`.",
    "RUNTIME_REVOKED": "Give it a new identity with `spinctl runtime replace`.",
    "PAIRING_INVALID": "A pairing works once and for 24 hours. Make a new token with `spinctl runtime pair`.",
    "PAIRING_USED": "A token works once. If its data is lost: `spinctl runtime replace`.",
    "RUNTIME_ENROLLED": "For a new identity: `spinctl runtime replace`.",
    "ROOT_EXPIRED": "Whoever runs the platform renews it on its host: `spin-service keys list` says how.",
    "NOT_PAIRED": "Pair it with `spinctl runtime pair`.",
    "KERNEL_UNKNOWN": "Choose one of the kernels that are installed on the runtime.",
    "QUEUE_FULL": "Wait for queued cells to end, or interrupt them.",
    "DRAINING": "The runtime is restarting: try again when it is back.",
    "TIME_REFUSED": "Set the clocks of the runtime's host and of the platform's.",
    "SOURCE_NOT_SAVED": "Save the cell first: agents run saved cells alone.",
    "CONNECTION_UNUSABLE": "List what you may use with `spinctl connection list`.",
    "KERNEL_TAINTED": "Begin with a new kernel: `spinctl session take SESSION --restart`.",
    "APPROVAL_REQUIRED": "Ask with `spinctl approval request NOTEBOOK CELL`, and run it again when somebody approved.",
    "INPUT_REFUSED": "Interrupt the cell, or take the session over and run it yourself: `spinctl session take SESSION`.",
    "APPROVAL_CLOSED": "Ask again with `spinctl approval request NOTEBOOK CELL`.",
    "INTERNAL": "The platform's log has the cause under the trace id.",
    LOG_REFUSED: "Run nothing until it is explained. Compare an export from before with one of today: `spinctl audit export`.",
    "LOG_UNPROVEN": "Attach again: the proof is fetched and sent with every attachment.",
    TRUST_REFUSED: "If the platform was installed anew, remove its entry with `spinctl logout --forget-trust` and sign in again.",
}

_BY_STATUS = {
    grpc.StatusCode.UNAUTHENTICATED: "UNAUTHENTICATED",
    grpc.StatusCode.PERMISSION_DENIED: "PERMISSION_DENIED",
    grpc.StatusCode.NOT_FOUND: "NOT_FOUND",
    grpc.StatusCode.INVALID_ARGUMENT: "INVALID_ARGUMENT",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "RATE_LIMITED",
    grpc.StatusCode.UNAVAILABLE: NOT_REACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: "UNAVAILABLE",
    grpc.StatusCode.UNIMPLEMENTED: NOT_REACHABLE,
}


@dataclass(frozen=True)
class FieldProblem:
    """One entry of google.rpc.BadRequest: a field, or a place in a cell's source."""

    field: str
    text: str


class SpinError(Exception):
    """A call or a run that the platform, the runtime or this client refused."""

    def __init__(self, reason: str, text: str, metadata: Mapping[str, str] | None = None, *, problems: Sequence[FieldProblem] = ()) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.metadata = dict(metadata or {})
        self.problems = tuple(problems)

    @property
    def hint(self) -> str:
        """How to go on; empty where the text says it already."""
        return _HINTS.get(self.reason, "")

    @property
    def unreachable(self) -> bool:
        """True when nobody answered, so that repeating later may help."""
        return self.reason in (NOT_REACHABLE, "UNAVAILABLE", "DRAINING")

    @property
    def of_the_log(self) -> bool:
        """True when a runtime finds fault with the log as it was shown. Another client's newer proof can be the cause: attach again to know."""
        return self.reason == "LOG_UNPROVEN" or (self.reason == "ROLLBACK_REFUSED" and self.metadata.get("document") == "checkpoint")


def reason_name(reason: "reasons_pb2.ErrorReason.ValueType") -> str:
    """A catalogue value's name without its prefix; a value newer than this client keeps its number."""
    try:
        return reasons_pb2.ErrorReason.Name(reason).removeprefix(PREFIX)
    except ValueError:
        return f"REASON_{int(reason)}"


def from_rpc(error: grpc.aio.AioRpcError, where: str) -> SpinError:
    """Turns gRPC's error into ours; one that came from the gateway instead of a service is read by its status code."""
    try:
        info, problems = _details(error)
    except DecodeError:
        info, problems = None, []
    if info is not None:
        return SpinError(info.reason.removeprefix(PREFIX), error.details() or info.reason, dict(info.metadata), problems=problems)
    reason = _BY_STATUS.get(error.code(), "INTERNAL")
    if reason == NOT_REACHABLE:
        return SpinError(NOT_REACHABLE, f"cannot reach the platform at {where}: {_first_line(error.details())}")
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return SpinError(reason, f"the platform at {where} did not answer in time")
    return SpinError(reason, _first_line(error.details()))


def from_frame(frame: frames_pb2.Error) -> SpinError:
    return SpinError(reason_name(frame.reason), frame.message or "the runtime refused", dict(frame.metadata))


def _details(error: grpc.aio.AioRpcError) -> tuple[error_details_pb2.ErrorInfo | None, list[FieldProblem]]:
    info, problems = None, []
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        for detail in status_pb2.Status.FromString(value).details:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                info = error_details_pb2.ErrorInfo.FromString(detail.value)
            elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                violations = error_details_pb2.BadRequest.FromString(detail.value).field_violations
                problems = [FieldProblem(v.field, v.description) for v in violations]
    return info, problems


def _first_line(text: str | None) -> str:
    return (text or "no reason given").splitlines()[0]
