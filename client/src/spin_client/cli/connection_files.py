"""Files of connections: a list of objects in JSON, JSON Lines, or CSV with a heading.

Rules: which of the three it is, the first character says; every fault is found before anything is sent; a fault names its row as the file counts
(the line, or the item of a JSON list) and never repeats a value, for it may be a credential.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from spin_client.cli.connection_options import grants_of
from spin_client.sdk.errors import SpinError
from spinapis.secrets.v1 import secrets_pb2 as pb

MOST_BYTES = 3 * 1024 * 1024
# As the file says it, and as the request does.
FIELDS = {
    "name": "name",
    "kind": "kind",
    "config": "config_json",
    "credential": "credential_json",
    "references": "references_json",
    "hosts": "allowed_hosts",
    "operations": "allowed_operations",
    "approve": "approval_operations",
    "exposable": "exposable",
    "default": "is_default",
    "expires": "expires_at_ms",
}
# Both are grants in the request.
_PEOPLE = ("use", "manage")
_OBJECTS, _LISTS, _FLAGS = ("config", "credential", "references"), ("hosts", "operations", "approve", *_PEOPLE), ("exposable", "default")
_PLACE = re.compile(r"entries\[(\d+)\]")
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")


@dataclass(frozen=True, slots=True)
class Fault:
    row: str
    name: str
    field: str
    fault: str


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    entry: pb.ConnectionEntry


@dataclass(frozen=True, slots=True)
class Read:
    rows: Sequence[Row]
    faults: Sequence[Fault]


def read(text: str) -> Read:
    """Raises SpinError when it is none of the three."""
    rows: list[Row] = []
    faults: list[Fault] = []
    for label, said in _objects(text.lstrip("\ufeff")):
        if not isinstance(said, Mapping):
            faults.append(Fault(label, "", "", "This is not a JSON object."))
            continue
        found = [Fault(label, _name(said), field, wrong) for field, wrong in _wrong(said)]
        faults += found
        if not found:
            rows.append(Row(label, _entry(said)))
    if not rows and not faults:
        raise SpinError("INVALID_ARGUMENT", "the file has no connections")
    return Read(rows, faults)


def request(workspace_id: str, key: str, rows: Sequence[Row]) -> pb.ImportConnectionsRequest:
    """Of a dry run. Raises SpinError when it is too large to be sent."""
    made = pb.ImportConnectionsRequest(workspace_id=workspace_id, idempotency_key=key, entries=[row.entry for row in rows], validate_only=True)
    if made.ByteSize() > MOST_BYTES:
        raise SpinError("TOO_LARGE", f"the connections are more than {MOST_BYTES >> 20} MiB together: split the file")
    return made


def faults(rows: Sequence[Row], outcomes: Sequence[pb.ImportOutcome]) -> list[Fault]:
    """What the platform found, in the words of the file."""
    told = []
    for row, outcome in zip(rows, outcomes, strict=True):
        for fault in outcome.faults:
            text = _PLACE.sub(lambda place: rows[int(place[1])].label, fault.description)
            told.append(Fault(row.label, row.entry.name, _in_file(fault.field), text))
    return told


def _in_file(field: str) -> str:
    head, rest = re.fullmatch(r"(\w*)(.*)", _PLACE.sub("", field).lstrip("."), re.DOTALL).groups()  # type: ignore[union-attr]  # It matches everything.
    return next((said for said, name in FIELDS.items() if name == head), head) + rest


def _objects(text: str) -> Iterator[tuple[str, Any]]:
    """Each row's label and what it says; None where that cannot be read."""
    if text.startswith("["):
        items = _json(text)
        if not isinstance(items, list):
            raise SpinError("INVALID_ARGUMENT", "the file starts as a JSON list, and is not JSON")
        yield from ((f"item {number}", item) for number, item in enumerate(items, 1))
    elif text.startswith("{"):
        whole = _json(text)
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        yield from [("item 1", whole)] if whole is not None else [(f"line {number}", _json(line)) for number, line in lines]
    elif text:
        yield from _csv(text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _csv(text: str) -> Iterator[tuple[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        if "name" not in (reader.fieldnames or ()):
            raise SpinError("INVALID_ARGUMENT", "the file is neither JSON nor CSV whose first line names the columns, with name among them")
        for cells in reader:
            yield f"line {reader.line_num}", _unflattened(cells)
    except csv.Error:
        raise SpinError("INVALID_ARGUMENT", f"line {reader.line_num} is not CSV: look at its quotes") from None


def _unflattened(cells: Mapping[str, Any]) -> dict[str, Any]:
    """The object that a line of CSV stands for. An empty cell says nothing."""
    said: dict[str, Any] = {}
    for column, cell in cells.items():
        head, dot, name = column.partition(".")
        if not cell:
            continue
        if dot and head in _OBJECTS:
            # As with --set, a number is a number, and a reference an object; what is secret is text.
            number = _json(cell) if head != "credential" else None
            said.setdefault(head, {})[name] = cell if number is None else number
        elif column in _LISTS:
            said[column] = re.split(r"[\s,;]+", cell.strip())
        elif column in _FLAGS:
            said[column] = cell.lower() in _YES if cell.lower() in (*_YES, *_NO) else cell
        else:
            said[column] = cell
    return said


def _wrong(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field, value in said.items():
        if field not in FIELDS and field not in _PEOPLE:
            yield field[:100], f"There is no such field. The fields are: {', '.join([*FIELDS, *_PEOPLE])}."
        elif field in _OBJECTS:
            if not isinstance(value, dict):
                yield field, "This is not an object."
        elif field in _LISTS:
            if not isinstance(value, list) or not all(map(_is_text, value)):
                yield field, "This is not a list of texts."
        elif field in _FLAGS:
            if not isinstance(value, bool):
                yield field, "Say true or false."
        elif not _is_text(value):
            yield field, "This is not text."
        elif field == "expires" and _day(value) is None:
            yield field, "A day has the form 2030-12-31."


def _entry(said: Mapping[str, Any]) -> pb.ConnectionEntry:
    credential, references = said.get("credential"), said.get("references")
    return pb.ConnectionEntry(
        name=said.get("name", ""),
        kind=said.get("kind", ""),
        config_json=json.dumps(said.get("config", {})),
        credential_json=json.dumps(credential) if credential else "",
        references_json=json.dumps(references) if references else "",
        allowed_hosts=said.get("hosts", []),
        allowed_operations=said.get("operations", []),
        approval_operations=said.get("approve", []),
        grants=grants_of(said.get("use"), said.get("manage")),
        exposable=said.get("exposable", False),
        is_default=said.get("default", False),
        expires_at_ms=_day(said["expires"]) or 0 if "expires" in said else 0,
    )


def _day(text: str) -> int | None:
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return None


def _is_text(value: Any) -> bool:
    """Half a character, which JSON can write and a message cannot carry, is none."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _name(said: Mapping[str, Any]) -> str:
    name = said.get("name")
    return str(name) if _is_text(name) else ""
