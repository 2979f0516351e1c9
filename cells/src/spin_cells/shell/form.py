"""Fields of a shell cell."""

from spin_cells.definition import VARIABLE_PATTERN, form

SCHEMA = form(
    {
        "shell": {"type": "string", "title": "Shell", "enum": ["bash", "sh", "zsh", "fish"], "default": "bash"},
        "working_directory": {"type": "string", "title": "Working directory", "maxLength": 4096, "pattern": r"^[^\x00]*$"},
        "timeout_s": {"type": "number", "title": "Timeout in seconds", "exclusiveMinimum": 0, "maximum": 86400},
        "variable": {
            "type": "string",
            "title": "Output to variable",
            "description": "Gets what the command printed, as text",
            "pattern": VARIABLE_PATTERN,
        },
    }
)
