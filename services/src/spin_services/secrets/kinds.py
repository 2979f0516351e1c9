"""What the kind of a connection demands of it: known fields with values of the right form, and operations that the kind has.

A refusal names the field by its path and never repeats a value: it may be a credential.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from jsonschema import Draft202012Validator, ValidationError

from spin_cells.api import ConnectionKind
from spin_services.secrets.domain import Changes, FieldInvalid, NewConnection


class Kinds:
    def __init__(self, known: Mapping[str, ConnectionKind]) -> None:
        self._known = known

    def all(self) -> list[ConnectionKind]:
        """By name."""
        return [self._known[name] for name in sorted(self._known)]

    def checked(self, new: NewConnection) -> NewConnection:
        """The connection, with all of its kind's operations where it names none. Raises FieldInvalid."""
        kind = self._named(new.kind)
        _check("config_json", kind, kind.config_schema, orjson.loads(new.config_json))
        _check("credential_json", kind, kind.credential_schema, new.credential)
        _check_operations(kind, "allowed_operations", new.allowed_operations)
        _check_operations(kind, "approval_operations", new.approval_operations)
        return replace(new, allowed_operations=new.allowed_operations or tuple(sorted(kind.operations)))

    def check_changes(self, kind_name: str, changes: Changes) -> None:
        """Raises FieldInvalid."""
        kind = self._named(kind_name)
        if changes.config_json is not None:
            _check("config_json", kind, kind.config_schema, orjson.loads(changes.config_json))
        if changes.credential is not None:
            _check("credential_json", kind, kind.credential_schema, changes.credential)
        if changes.allowed_operations is not None:
            _check_operations(kind, "allowed_operations", changes.allowed_operations)
            if not changes.allowed_operations:
                raise FieldInvalid("allowed_operations", f"Name at least one of: {_listed(kind.operations)}.")

        _check_operations(kind, "approval_operations", changes.approval_operations or ())

    def _named(self, name: str) -> ConnectionKind:
        kind = self._known.get(name)
        if kind is None:
            raise FieldInvalid("kind", f"There is no such kind of connection. The kinds are: {_listed(self._known)}.")
        return kind


def _check(field: str, kind: ConnectionKind, schema: Mapping[str, Any], value: Mapping[str, Any]) -> None:
    errors = sorted(Draft202012Validator(dict(schema)).iter_errors(dict(value)), key=lambda error: str(error.json_path))
    if errors:
        raise _fault(field, kind, schema["properties"], errors[0])


def _fault(field: str, kind: ConnectionKind, properties: Mapping[str, Any], error: ValidationError) -> FieldInvalid:
    if error.absolute_path:
        name = str(error.absolute_path[0])
        return FieldInvalid(f"{field}.{name}", properties[name]["description"])
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return FieldInvalid(f"{field}.{missing}", f"This field is missing. {properties[missing]['description']}")
    unknown = sorted(set(error.instance) - set(properties))
    path = f"{field}.{unknown[0][:100]}" if unknown else field
    return FieldInvalid(path, f"A connection of the kind {kind.name} has no such field. The fields are: {_listed(properties)}.")


def _check_operations(kind: ConnectionKind, field: str, operations: tuple[str, ...]) -> None:
    for place, operation in enumerate(operations):
        if operation not in kind.operations:
            text = f"The operations of the kind {kind.name} are: {_listed(kind.operations)}."
            raise FieldInvalid(f"{field}[{place}]", text)


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
