"""Between secrets' messages and its domain. What a request must look like is checked here."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

import orjson

from spin_cells.api import ConnectionKind
from spin_services.rpc.errors import invalid
from spin_services.secrets import domain
from spin_services.secrets.domain import Changes, Connection, FieldInvalid, NewConnection
from spin_services.secrets.entries import Read, path
from spin_services.secrets.grant_wire import grants_of, shown_grant
from spin_services.secrets.kinds import Kinds
from spin_services.secrets.references import check_references
from spinapis.audit.v1.audit_pb2 import NewEntry
from spinapis.secrets.v1 import secrets_pb2 as pb

T = TypeVar("T")


def to_kind(kind: ConnectionKind) -> pb.ConnectionKind:
    return pb.ConnectionKind(
        name=kind.name,
        config_schema_json=orjson.dumps(dict(kind.config_schema)).decode(),
        credential_schema_json=orjson.dumps(dict(kind.credential_schema)).decode(),
        operations=sorted(kind.operations),
    )


def changes(request: pb.UpdateConnectionRequest, known: Connection, kinds: Kinds) -> Changes:
    """Raises INVALID_ARGUMENT."""

    def read() -> Changes:
        asked = Changes(
            name=domain.check_name(request.name) if request.HasField("name") else None,
            config_json=domain.check_config(request.config_json) if request.HasField("config_json") else None,
            allowed_hosts=domain.check_hosts(request.allowed_hosts) if request.replace_allowed else None,
            allowed_operations=domain.check_operations(request.allowed_operations) if request.replace_allowed else None,
            approval_operations=domain.check_operations(request.approval_operations, "approval_operations") if request.replace_approval else None,
            is_default=request.is_default if request.HasField("is_default") else None,
            expires_at_ms=_new_expiry(request),
            grants=domain.check_grants(grants_of(request.grants)) if request.replace_grants else None,
            exposable=request.exposable if request.HasField("exposable") else None,
            references_json=check_references(request.references_json) if request.HasField("references_json") else None,
            credential=domain.read_object("credential_json", request.credential_json) if request.HasField("credential_json") else None,
        )
        kinds.check_changes(known, asked)
        return asked

    return _read(read)


def _read(make: Callable[[], T]) -> T:
    try:
        return make()
    except FieldInvalid as fault:
        raise invalid(fault.field, str(fault)) from None


def _new_expiry(request: pb.UpdateConnectionRequest) -> int | None:
    """The date of an old credential says nothing of a new one."""
    if request.HasField("expires_at_ms"):
        return domain.check_expiry(request.expires_at_ms)
    return 0 if request.HasField("credential_json") else None


def check_id(field: str, value: str) -> str:
    if not re.fullmatch("[0-9a-f]{32}", value):
        raise invalid(field, "An id is 32 hexadecimal digits in lower case.")
    return value


def check_version(field: str, value: int) -> int:
    if not 1 <= value < 2**32:
        raise invalid(field, "A version is a number from 1.")
    return value


def check_key(value: str) -> str:
    if len(value) > 256 or "\0" in value:
        raise invalid("idempotency_key", "At most 256 characters.")
    return value


def import_keys(key: str, count: int) -> list[str]:
    """One for each entry, in a namespace that no key of a single creation is in by accident."""
    stem = sha256(key.encode()).hexdigest()
    return [f"import:{stem}:{place}" if key else "" for place in range(count)]


def to_connection(connection: Connection, workspace_id: str, *, whole: bool) -> pb.Connection:
    """`whole` shows the configuration; otherwise names and kinds alone. What is inherited shows no configuration to its heirs."""
    inherited = connection.workspace_id != workspace_id
    shown = pb.Connection(
        id=connection.id,
        workspace_id=connection.workspace_id,
        name=connection.name,
        kind=connection.kind,
        inherited=inherited,
        is_default=connection.is_default,
    )
    if whole and not inherited:
        shown.MergeFrom(
            pb.Connection(
                config_json=connection.config_json,
                allowed_hosts=connection.allowed_hosts,
                allowed_operations=connection.allowed_operations,
                approval_operations=connection.approval_operations,
                credential_fields=connection.credential_fields,
                version=connection.version,
                etag=connection.etag,
                created_at_ms=connection.created_at_ms,
                updated_at_ms=connection.updated_at_ms,
                grants=map(shown_grant, connection.grants),
                expires_at_ms=connection.expires_at_ms,
                exposable=connection.exposable,
                references_json=connection.references_json,
            )
        )
    return shown


def to_outcome(place: int, read: Read, workspace_id: str) -> pb.ImportOutcome:
    """Of a dry run."""
    if read.faults:
        return pb.ImportOutcome(faults=[pb.EntryFault(field=path(place, fault), description=str(fault)) for fault in read.faults])
    return pb.ImportOutcome(connection=_to_be(read.new, workspace_id))


def _to_be(new: NewConnection, workspace_id: str) -> pb.Connection:
    return pb.Connection(
        workspace_id=workspace_id,
        name=new.name,
        kind=new.kind,
        config_json=new.config_json,
        allowed_hosts=new.allowed_hosts,
        allowed_operations=new.allowed_operations,
        approval_operations=new.approval_operations,
        credential_fields=sorted(new.credential),
        is_default=new.is_default,
        expires_at_ms=new.expires_at_ms,
        grants=map(shown_grant, new.grants),
        exposable=new.exposable,
        references_json=new.references_json,
    )


def to_resolved(connection: Connection, workspace_id: str) -> pb.Connection:
    """What a compiler needs: which operations it may grant."""
    shown = to_connection(connection, workspace_id, whole=False)
    shown.allowed_operations.extend(connection.allowed_operations)
    shown.approval_operations.extend(connection.approval_operations)
    shown.version = connection.version
    shown.exposable = connection.exposable
    return shown


def log_entry(kind: str, user_id: str, connection: Connection, attempt: str, changed: list[str]) -> NewEntry:
    """What the log is told of a change: names of what changed, never a value."""
    body = {"connection_id": connection.id, "name": connection.name, "kind": connection.kind, "version": connection.version, "changed": changed}
    return NewEntry(
        idempotency_key=f"{kind}:{connection.id}:{connection.version}:{attempt}",
        type=kind,
        user_id=user_id,
        subjects=[f"connection:{connection.id}"],
        body_json=orjson.dumps(body).decode(),
    )


def parts(made: Connection) -> list[str]:
    """What the log is told of a new connection."""
    there = {"credential": made.credential_fields, "grants": made.grants, "exposable": made.exposable, "references_json": made.references_json}
    return [part for part, value in there.items() if value]


def expiry_entry(connection: Connection) -> NewEntry:
    body = {"connection_id": connection.id, "name": connection.name, "kind": connection.kind, "expires_at_ms": connection.expires_at_ms}
    return NewEntry(
        idempotency_key=f"connection.expiring:{connection.id}:{connection.expires_at_ms}",
        type="connection.expiring",
        subjects=[f"connection:{connection.id}"],
        body_json=orjson.dumps(body).decode(),
    )


def sync_entry(user_id: str, runtime_id: str, bundle_version: int, connection_ids: list[str], attempt: str) -> NewEntry:
    """What a workspace's log is told of its own credentials; `user_id` is empty where the workspace of the one who asked is another."""
    body = {"runtime_id": runtime_id, "bundle_version": bundle_version, "connections": connection_ids}
    return NewEntry(
        idempotency_key=f"connection.sealed:{runtime_id}:{bundle_version}:{attempt}",
        type="connection.sealed",
        user_id=user_id,
        subjects=[f"runtime:{runtime_id}"],
        body_json=orjson.dumps(body).decode(),
    )
