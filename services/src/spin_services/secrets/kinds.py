"""What the kind of a connection demands of it: known fields with values of the right form, and operations that the kind has.

A refusal names the field by its path and never repeats a value: it may be a credential.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from typing import Any

import orjson
from jsonschema import Draft202012Validator, ValidationError

from spin_cells.api import ConnectionKind
from spin_services.secrets.domain import Changes, Connection, FieldInvalid, NewConnection
from spin_services.secrets.references import FIELD, fields_of

MOST_UNKNOWN = 10


class Kinds:
    def __init__(self, known: Mapping[str, ConnectionKind]) -> None:
        self._known = known

    def all(self) -> list[ConnectionKind]:
        """By name."""
        return [self._known[name] for name in sorted(self._known)]

    def faults(self, new: NewConnection) -> list[FieldInvalid]:
        """All that the kind finds wrong."""
        try:
            kind = self._named(new.kind)
        except FieldInvalid as fault:
            return [fault]
        return [
            *_faults("config_json", kind, kind.config_schema, orjson.loads(new.config_json)),
            *_secret_faults(kind, new.credential, fields_of(new.references_json), set(new.credential)),
            *_unknown_operations(kind, "allowed_operations", new.allowed_operations),
            *_unknown_operations(kind, "approval_operations", new.approval_operations),
        ]

    def completed(self, new: NewConnection) -> NewConnection:
        """With all of its kind's operations where it names none. Raises FieldInvalid."""
        return replace(new, allowed_operations=new.allowed_operations or tuple(sorted(self._named(new.kind).operations)))

    def check_changes(self, known: Connection, changes: Changes) -> None:
        """Raises FieldInvalid."""
        for fault in self._change_faults(self._named(known.kind), known, changes):
            raise fault

    def _change_faults(self, kind: ConnectionKind, known: Connection, changes: Changes) -> Iterator[FieldInvalid]:
        if changes.config_json is not None:
            yield from _faults("config_json", kind, kind.config_schema, orjson.loads(changes.config_json))
        if changes.credential is not None or changes.references_json is not None:
            referenced = fields_of(known.references_json if changes.references_json is None else changes.references_json)
            entered = set(known.credential_fields if changes.credential is None else changes.credential)
            yield from _secret_faults(kind, changes.credential, referenced, entered)
        if changes.allowed_operations is not None:
            yield from _unknown_operations(kind, "allowed_operations", changes.allowed_operations)
            if not changes.allowed_operations:
                yield FieldInvalid("allowed_operations", f"Name at least one of: {_listed(kind.operations)}.")
        yield from _unknown_operations(kind, "approval_operations", changes.approval_operations or ())

    def _named(self, name: str) -> ConnectionKind:
        kind = self._known.get(name)
        if kind is None:
            raise FieldInvalid("kind", f"There is no such kind of connection. The kinds are: {_listed(self._known)}.")
        return kind


def _faults(field: str, kind: ConnectionKind, schema: Mapping[str, Any], value: Mapping[str, Any]) -> list[FieldInvalid]:
    """At most one for each path."""
    errors = sorted(Draft202012Validator(dict(schema)).iter_errors(dict(value)), key=lambda error: str(error.json_path))
    found = (fault for error in errors for fault in _told(field, kind, schema["properties"], error))
    return list({fault.field: fault for fault in found}.values())


def _secret_faults(kind: ConnectionKind, credential: Mapping[str, Any] | None, referenced: Set[str], entered: Set[str]) -> Iterator[FieldInvalid]:
    """`credential` is None where the one that was entered before, with the fields `entered`, stays: only their names are known."""
    schema, sent = kind.credential_schema, credential or {}
    unseen = dict.fromkeys((referenced | entered) - set(sent), "")
    for fault in _faults("credential_json", kind, schema, unseen | dict(sent)):
        if fault.field.partition(".")[2] not in unseen:
            yield fault
    for name in sorted(referenced):
        if name not in schema["properties"]:
            text = f"The credential of the kind {kind.name} has no such field. The fields are: {_listed(schema['properties'])}."
            yield FieldInvalid(f"{FIELD}.{name[:100]}", text)
        elif name in entered:
            yield FieldInvalid(
                f"{FIELD}.{name}", "The credential has this field too: send the credential again without it, or leave the reference away."
            )


def _told(field: str, kind: ConnectionKind, properties: Mapping[str, Any], error: ValidationError) -> Iterator[FieldInvalid]:
    if error.absolute_path:
        name = str(error.absolute_path[0])
        yield FieldInvalid(f"{field}.{name}", properties[name]["description"])
    elif error.validator == "required":
        for missing in [name for name in error.validator_value if name not in error.instance]:
            yield FieldInvalid(f"{field}.{missing}", f"This field is missing. {properties[missing]['description']}")
    else:
        unknown = sorted(set(error.instance) - set(properties))[:MOST_UNKNOWN]
        for path in [f"{field}.{name[:100]}" for name in unknown] or [field]:
            yield FieldInvalid(path, f"A connection of the kind {kind.name} has no such field. The fields are: {_listed(properties)}.")


def _unknown_operations(kind: ConnectionKind, field: str, operations: tuple[str, ...]) -> Iterator[FieldInvalid]:
    for place, operation in enumerate(operations):
        if operation not in kind.operations:
            yield FieldInvalid(f"{field}[{place}]", f"The operations of the kind {kind.name} are: {_listed(kind.operations)}.")


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
