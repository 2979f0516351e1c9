"""Fields of a REST cell."""

from spin_cells.definition import ID_PATTERN, VARIABLE_PATTERN, form

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
DEFAULT_TIMEOUT_S = 30
_SCALAR = {"type": ["string", "number", "boolean"]}

SCHEMA = form(
    {
        "connection": {"type": "string", "title": "Connection", "pattern": ID_PATTERN, "format": "connection"},
        "method": {"type": "string", "title": "Method", "enum": list(METHODS), "default": "GET"},
        "url": {
            "type": "string",
            "title": "URL",
            "description": "With a connection, a path on its host is enough",
            "minLength": 1,
            "maxLength": 8192,
        },
        "query": {"type": "object", "title": "Query", "additionalProperties": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}},
        "headers": {
            "type": "object",
            "title": "Headers",
            "additionalProperties": _SCALAR,
            "propertyNames": {"pattern": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"},
        },
        "json": {"title": "JSON body"},
        "body": {"type": "string", "title": "Text body", "description": "Instead of a JSON body", "maxLength": 1_000_000},
        "timeout_s": {"type": "number", "title": "Timeout in seconds", "exclusiveMinimum": 0, "maximum": 3600, "default": DEFAULT_TIMEOUT_S},
        "variable": {"type": "string", "title": "Response to variable", "pattern": VARIABLE_PATTERN},
    },
    required=["url"],
)
