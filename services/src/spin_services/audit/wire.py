"""Between audit's messages and its domain. What a request must look like is checked here, and nowhere further in."""

import re
import secrets
from collections.abc import Iterable, Sequence

import orjson

from spin_envelope.signing import Verified
from spin_services.audit import domain
from spin_services.audit.domain import Draft, EntryFilter, StoredEntry, compiled_program, key_fits, may_write, parse_run_id, words_of
from spin_services.audit.output_store import Output
from spin_services.audit.receipts import SignedReceipt
from spin_services.audit.run_store import Row
from spin_services.rpc.errors import ErrorReason, ServiceError, invalid
from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.envelope.v1.receipt_pb2 import Receipt
from spinapis.envelope.v1.run_pb2 import RunNonce
from spinapis.runtime.v1 import frames_pb2

TYPE = re.compile(r"[a-z0-9_]{1,40}(\.[a-z0-9_]{1,40}){1,4}")
MAX_ENTRIES = 1000
MAX_MORE_RUNS = 100
MAX_KEY = 256
MAX_SUBJECTS = 64
MAX_BODY = 256 * 1024
# SQL's integers are signed.
MAX_NUMBER = 2**63 - 1


def drafts(request: pb.AppendEntriesRequest, service: str) -> list[Draft]:
    """Raises INVALID_ARGUMENT, PERMISSION_DENIED."""
    if not 1 <= len(request.entries) <= MAX_ENTRIES:
        raise invalid("entries", f"Append between 1 and {MAX_ENTRIES} entries at a time.")
    return [_draft(entry, service) for entry in request.entries]


def _draft(entry: pb.NewEntry, service: str) -> Draft:
    if not TYPE.fullmatch(entry.type):
        raise invalid("type", "An entry's type is a dotted name in lower case.")
    if not may_write(service, entry.type):
        raise ServiceError(ErrorReason.ERROR_REASON_PERMISSION_DENIED, permission=f"append {entry.type}", role=service)
    if not (_plain(entry.idempotency_key, MAX_KEY) and key_fits(entry.idempotency_key, entry.type)):
        raise invalid("idempotency_key", "The key is too long, or reserved for another type of entry.")
    if len(entry.subjects) > MAX_SUBJECTS or not all(subject and _plain(subject, MAX_KEY) for subject in entry.subjects):
        raise invalid("subjects", f"At most {MAX_SUBJECTS} subjects, each of 1 to {MAX_KEY} characters.")
    if not _plain(entry.user_id, MAX_KEY):
        raise invalid("user_id", "The user's id is too long.")
    _check_body(entry)
    key = entry.idempotency_key or f"once:{secrets.token_hex(16)}"
    return Draft(key, entry.type, entry.user_id, tuple(entry.subjects), entry.body_json or "{}")


def _check_body(entry: pb.NewEntry) -> None:
    try:
        fits = len(entry.body_json) <= MAX_BODY and isinstance(orjson.loads(entry.body_json or b"{}"), dict)
    except orjson.JSONDecodeError:
        fits = False
    if not fits:
        raise invalid("body_json", f"The body is a JSON object of at most {MAX_BODY} characters.")
    if entry.type == "program.compiled":
        try:
            program = compiled_program(entry.body_json)
        except ValueError as error:
            raise invalid("body_json", f"The body is {error}.") from None
        if entry.idempotency_key != domain.program_key(program.program_digest):
            raise invalid("idempotency_key", "A compiled program's key is its digest.")


def _plain(text: str, limit: int) -> bool:
    """Short enough, and storable: PostgreSQL has no place for NUL in a text."""
    return len(text) <= limit and "\0" not in text


def entry_filter(request: pb.ListEntriesRequest) -> EntryFilter:
    texts = (request.type, request.user_id, request.subject, request.text)
    if not all(_plain(text, MAX_KEY) for text in texts):
        raise invalid("text", f"A filter has at most {MAX_KEY} characters.")
    return EntryFilter(request.type, request.user_id, request.subject, words_of(request.text), request.from_ms, request.until_ms, request.session_id)


def to_entry(entry: StoredEntry, with_person: bool) -> pb.Entry:
    user_id = entry.user_id if with_person else ""
    return pb.Entry(index=entry.index, leaf=entry.leaf, salt=entry.salt, body_json=entry.body, user_id=user_id, receipt=entry.receipt)


def check_id(field: str, value: str) -> str:
    if not re.fullmatch("[0-9a-f]{32}", value):
        raise invalid(field, "An id is 32 hexadecimal digits in lower case.")
    return value


def run_id(text: str) -> str:
    try:
        return str(parse_run_id(text))
    except ValueError:
        raise invalid("run_id", "A run's id is <boot id>.<kernel epoch>.<seq>.") from None


def nonce_run_id(nonce: RunNonce) -> str:
    if len(nonce.boot_id) != 16 or not 0 < nonce.seq <= MAX_NUMBER or nonce.kernel_epoch > MAX_NUMBER:
        raise invalid("nonce", "The nonce names no run.")
    return f"{nonce.boot_id.hex()}.{nonce.kernel_epoch}.{nonce.seq}"


def signed_receipt(verified: Verified[Receipt], workspace_id: str, runtime_id: str) -> SignedReceipt:
    """Raises RECEIPT_CONFLICT for a receipt that cannot be one of this runtime."""
    receipt = verified.message
    numbers = (receipt.receipt_seq, receipt.nonce.seq, receipt.nonce.kernel_epoch)
    mine = (receipt.workspace_id.hex(), receipt.runtime_id.hex()) == (workspace_id, runtime_id)
    if not mine or not receipt.receipt_seq or len(receipt.boot_id) != 16 or not receipt.type or max(numbers) > MAX_NUMBER or "\0" in receipt.reason:
        raise ServiceError(ErrorReason.ERROR_REASON_RECEIPT_CONFLICT, receipt_seq=str(receipt.receipt_seq))
    return SignedReceipt(receipt, verified.digest, verified.data)


def outputs_of_runs(request: pb.UploadOutputsRequest) -> dict[str, list[Output]]:
    """By run, in the order of the request. Raises INVALID_ARGUMENT, TOO_LARGE."""
    if len(request.more) > MAX_MORE_RUNS:
        raise ServiceError(ErrorReason.ERROR_REASON_TOO_LARGE, limit=f"{MAX_MORE_RUNS} further runs")
    runs = {nonce_run_id(request.nonce): _outputs(request.outputs)}
    runs |= {nonce_run_id(run.nonce): _outputs(run.outputs) for run in request.more}
    if len(runs) != 1 + len(request.more):
        raise invalid("more", "Each run comes once.")
    return runs


def _outputs(outputs: Iterable[frames_pb2.Output]) -> list[Output]:
    """Raises INVALID_ARGUMENT unless they are consecutive."""
    found = [Output(output.index, output.kind, output.body) for output in outputs if output.index]
    first = found[0].index if found else 0
    if any(output.index != first + place or not 0 <= output.kind < 256 for place, output in enumerate(found)):
        raise invalid("outputs", "Outputs are consecutive by index.")
    return found


def to_output(output: Output) -> frames_pb2.Output:
    return frames_pb2.Output(index=output.index, kind=output.kind, body=output.body)  # type: ignore[arg-type]


def to_run(row: Row, log_workspace_id: str) -> pb.Run:
    indexes = [row[name] for name in ("compiled_index", "started_index", "ended_index") if row[name] is not None]
    return pb.Run(
        id=row["run_id"],
        nonce=RunNonce(boot_id=bytes.fromhex(row["boot_id"]), kernel_epoch=row["kernel_epoch"], seq=row["seq"]),
        session_id=row["session_id"],
        notebook_id=row["notebook_id"],
        cell_id=row["cell_id"],
        runtime_id=row["runtime_id"],
        user_id=row.get("user_id") or "",
        cell_type=row["cell_type"],
        program_digest=row["program_digest"],
        compiled_at_ms=row["compiled_at_ms"],
        started_at_ms=row["started_at_ms"],
        ended_at_ms=row["ended_at_ms"],
        status=row["status"],
        truncated=row["truncated"],
        frames=row["frames"],
        frames_stored=row["frames_stored"],
        outputs_verified=row["outputs_verified"],
        reject_reason=row["reject_reason"],
        operations=Receipt.FromString(row["operations"]).operations,
        entry_indexes=indexes,
        log_workspace_id=log_workspace_id,
    )


def to_alarms(rows: Sequence[Row]) -> list[pb.Alarm]:
    return [
        pb.Alarm(
            id=str(row["id"]),
            type=row["type"],
            runtime_id=row["runtime_id"],
            run_id=row["run_id"],
            text=row["text"],
            raised_at_ms=row["raised_at_ms"],
            cleared_at_ms=row["cleared_at_ms"],
        )
        for row in rows
    ]
