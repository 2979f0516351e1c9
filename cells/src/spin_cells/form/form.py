"""Fields of a form cell: the inputs that it declares, and the values that a person gave."""

from spin_cells.definition import VARIABLE_PATTERN, form

TYPES = ("text", "multiline", "number", "integer", "boolean", "select", "multiselect", "date", "datetime")
_OPTION = {"type": ["string", "number", "boolean"]}

INPUT = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Variable", "pattern": VARIABLE_PATTERN, "maxLength": 64},
        "type": {"type": "string", "title": "Type", "enum": list(TYPES), "default": "text"},
        "label": {"type": "string", "title": "Label", "maxLength": 200},
        "help": {"type": "string", "title": "Help", "maxLength": 1000},
        "default": {"title": "Default"},
        "options": {"type": "array", "title": "Options", "items": _OPTION, "minItems": 1, "maxItems": 500, "uniqueItems": True},
        "required": {"type": "boolean", "title": "Required", "default": False},
        "minimum": {"type": "number", "title": "Least"},
        "maximum": {"type": "number", "title": "Most"},
    },
    "required": ["name"],
    "additionalProperties": False,
}

SCHEMA = form(
    {
        "inputs": {"type": "array", "title": "Inputs", "items": INPUT, "maxItems": 100},
        "values": {"type": "object", "title": "Values", "format": "form-values"},
    },
    required=["inputs"],
)
