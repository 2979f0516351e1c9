"""Fields of a code cell."""

from spin_cells.definition import ID_PATTERN, form

CONNECTIONS = {
    "type": "array",
    "title": "Connections",
    "description": "Connections, by name or id, that the code may use with spin_kernel.use",
    "items": {"type": "string", "pattern": ID_PATTERN},
    "maxItems": 32,
    "uniqueItems": True,
    "format": "connections",
}

SCHEMA = form({"connections": CONNECTIONS})
