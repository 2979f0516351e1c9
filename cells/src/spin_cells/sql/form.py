"""Fields of an SQL cell."""

from spin_cells.definition import VARIABLE_PATTERN, form

DEFAULT_ROW_LIMIT = 10_000

SCHEMA = form(
    {
        "engine": {"type": "string", "title": "Engine", "enum": ["duckdb"], "default": "duckdb"},
        "variable": {"type": "string", "title": "Result to variable", "description": "Gets the last statement's rows", "pattern": VARIABLE_PATTERN},
        "row_limit": {"type": "integer", "title": "Row limit", "minimum": 1, "maximum": 10_000_000, "default": DEFAULT_ROW_LIMIT},
    }
)
