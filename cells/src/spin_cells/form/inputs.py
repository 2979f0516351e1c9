"""The schema that a form cell's own inputs make, for the page that shows the form and for the compiler that checks its values."""

from collections.abc import Mapping
from typing import Any

from spin_cells.definition import SCHEMA

_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "string"},
    "multiline": {"type": "string", "format": "multiline"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    "datetime": {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?$"},
}


def values_schema(inputs: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """JSON Schema of the object of values, one property for each input."""
    return {
        "$schema": SCHEMA,
        "type": "object",
        "properties": {declared["name"]: _property(declared) for declared in inputs},
        "additionalProperties": False,
    }


def value_of(declared: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """The given value, else the default, else None."""
    return values.get(declared["name"], declared.get("default"))


def _property(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    shape = {**_shape(declared), **{key: declared[key] for key in ("minimum", "maximum") if key in declared}}
    texts = {"title": declared.get("label", declared["name"]), **({"description": declared["help"]} if declared.get("help") else {})}
    return {**shape, **texts, **({"default": declared["default"]} if declared.get("default") is not None else {})}


def _shape(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = declared.get("type", "text")
    options = list(declared.get("options", []))
    if kind == "select":
        return {"enum": options}
    if kind == "multiselect":
        return {"type": "array", "items": {"enum": options}, "uniqueItems": True}
    return _SHAPES[kind]
