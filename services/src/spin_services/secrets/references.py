"""Where a secret manager of the runtime holds fields of a credential.

Rules: a reference is configuration, which editors read; a field is either in the credential or in the references; a refusal names the field by its
path and never repeats a value, in which somebody may have put the secret itself.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from jsonschema import Draft202012Validator, ValidationError

from spin_services.secrets.domain import FieldInvalid, read_object

FIELD = "references_json"
MOST = 50
# `$` would let a line break stand at the end.
_END = r"(?![\s\S])"
_LINE = r"^[^\x00-\x1f\x7f]+" + _END
_PARTS: dict[str, dict[str, Any]] = {
    "manager": {
        "type": "string",
        "pattern": r"^[a-z0-9][a-z0-9._-]{0,62}" + _END,
        "description": "The name of a secret manager that the runtime's operator configured: up to 63 of a-z, 0-9, dot, hyphen and underscore.",
    },
    "path": {"type": "string", "maxLength": 1024, "pattern": _LINE, "description": "Where in the manager: one line of 1 to 1024 characters."},
    "key": {"type": "string", "maxLength": 256, "pattern": _LINE, "description": "Which of the values at the path: one line of 1 to 256 characters."},
    "version": {"type": "string", "maxLength": 256, "pattern": _LINE, "description": "A text of one line; without it, the newest version."},
}
SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "maxProperties": MOST,
    "additionalProperties": {"type": "object", "properties": _PARTS, "required": ["manager", "path"], "additionalProperties": False},
}
_VALIDATOR = Draft202012Validator(dict(SCHEMA))
_FORM = '{"manager": "…", "path": "…"}, with "key" and "version" where they are needed'


def check_references(text: str) -> str:
    """In one form for one meaning; empty for none. Raises FieldInvalid."""
    value = read_object(FIELD, text)
    for error in sorted(_VALIDATOR.iter_errors(value), key=lambda error: str(error.json_path)):
        raise _told(error)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() if value else ""


def fields_of(references_json: str) -> frozenset[str]:
    return frozenset(orjson.loads(references_json or "{}"))


def _told(error: ValidationError) -> FieldInvalid:
    place = ".".join([FIELD, *(str(part)[:100] for part in error.absolute_path)])
    match [*error.absolute_path], str(error.validator):
        case [], _:
            return FieldInvalid(place, f"At most {MOST} fields.")
        case [_, part], _:
            return FieldInvalid(place, _PARTS[str(part)]["description"])
        case _, "required":
            missing = next(name for name in error.validator_value if name not in error.instance)
            return FieldInvalid(f"{place}.{missing}", f"This is missing. {_PARTS[missing]['description']}")
    return FieldInvalid(place, f"A reference has the form {_FORM}.")
