"""Between the compiler's messages and what cells and programs are made of; the only file that knows both.

Rules: what comes in is checked here, once; ids are 32 hexadecimal digits outside and 16 bytes inside.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from spin_cells.api import Cell, CellInvalid, CellType, ConnectionInfo, Problem, Use
from spin_envelope.digests import canonical_json, read_json
from spin_envelope.errors import Refused
from spin_services.rpc.errors import ErrorReason, ServiceError, invalid
from spinapis.compiler.v1 import compiler_pb2
from spinapis.envelope.v1.run_pb2 import ConnectionUse
from spinapis.secrets.v1.secrets_pb2 import Connection

MAXIMUM_SOURCE = 2 * 1024 * 1024
_ID = re.compile(r"[0-9a-f]{32}\Z")
_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_LANGUAGE = re.compile(r"[A-Za-z0-9+#._ -]{1,40}\Z")


def check_ids(request: compiler_pb2.CompileCellRequest | compiler_pb2.RequestApprovalRequest) -> None:
    """Raises INVALID_ARGUMENT."""
    for field in ("session_id", "notebook_id"):
        if not _ID.match(getattr(request, field)):
            raise invalid(field, "An id is 32 hexadecimal digits in lower case.")
    if not _CELL_ID.match(request.cell_id):
        raise invalid("cell_id", "A cell's id is 1 to 64 of A-Z a-z 0-9 - _.")


def language_of(text: str) -> str:
    if text and not _LANGUAGE.match(text):
        raise invalid("kernel_language", "A language's name is at most 40 letters, digits and + # . _ -.")
    return text.lower() or "python"


def cell_of(definition: compiler_pb2.CellDefinition) -> Cell:
    """Raises INVALID_ARGUMENT, also for JSON that has no canonical form and so no digest."""
    if len(definition.source) > MAXIMUM_SOURCE:
        raise ServiceError(ErrorReason.ERROR_REASON_TOO_LARGE, "The cell's source is over 2 MiB.", limit=str(MAXIMUM_SOURCE))
    return Cell(definition.cell_type, definition.source, fields_of(definition.fields_json))


def fields_of(text: str) -> Mapping[str, Any]:
    try:
        fields = read_json(text or "{}")
        canonical_json(fields)
    except Refused:
        raise invalid("cell.fields_json", "The fields are not JSON that has a canonical form (RFC 8785).") from None
    if not isinstance(fields, dict):
        raise invalid("cell.fields_json", "The fields are not a JSON object.")
    return fields


def cell_type_to(cell_type: CellType) -> compiler_pb2.CellType:
    return compiler_pb2.CellType(
        name=cell_type.name,
        display_name=cell_type.display_name,
        description=cell_type.description,
        form_schema_json=orjson.dumps(cell_type.form_schema).decode(),
        executable=cell_type.executable,
        language=cell_type.language,
        connection_kind=cell_type.connection_kind,
    )


def problem_to(problem: Problem) -> compiler_pb2.Problem:
    severity = compiler_pb2.Problem.SEVERITY_WARNING if problem.warning else compiler_pb2.Problem.SEVERITY_ERROR
    return compiler_pb2.Problem(
        severity=severity,
        message=problem.message,
        line=problem.line,
        column=problem.column,
        end_line=problem.end_line,
        end_column=problem.end_column,
        field=problem.field,
    )


def cell_invalid(error: CellInvalid) -> ServiceError:
    """CELL_INVALID with a violation for each error; `cell.source:LINE:COLUMN` says where."""
    errors = [problem for problem in error.problems if not problem.warning]
    text = errors[0].message if errors else ""
    if errors and errors[0].line:
        text = f"Line {errors[0].line}: {text}"
    return ServiceError(ErrorReason.ERROR_REASON_CELL_INVALID, text, violations=[(_place(problem), problem.message) for problem in errors])


def connection_of(connection: Connection) -> ConnectionInfo:
    allowed, guarded = frozenset(connection.allowed_operations), frozenset(connection.approval_operations)
    return ConnectionInfo(bytes.fromhex(connection.id), connection.name, connection.kind, allowed, guarded, connection.exposable)


def by_reference(connections: Iterable[ConnectionInfo]) -> Mapping[str, ConnectionInfo]:
    """By id and by name; an id wins over another connection that is named like it."""
    found = list(connections)
    return {**{connection.name: connection for connection in found}, **{connection.id.hex(): connection for connection in found}}


def uses_to(uses: Sequence[Use]) -> list[ConnectionUse]:
    return [
        ConnectionUse(connection_id=use.connection_id, operations=use.operations, params_digest=use.params_digest, at_use=use.at_use) for use in uses
    ]


def _place(problem: Problem) -> str:
    if problem.field:
        return f"cell.fields.{problem.field}"
    return f"cell.source:{problem.line}:{problem.column}" if problem.line else "cell.source"
