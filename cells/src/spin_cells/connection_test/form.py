"""Fields of a connection test."""

from spin_cells.definition import ID_PATTERN, form

SCHEMA = form(
    {"connection": {"type": "string", "title": "Connection", "pattern": ID_PATTERN, "format": "connection", "description": "Of any kind"}},
    required=["connection"],
)
