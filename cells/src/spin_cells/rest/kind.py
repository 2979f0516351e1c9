"""Connections of the kind `rest`: what request.py reads of them."""

from spin_cells.api import ConnectionKind
from spin_cells.definition import form

OPERATION = "rest.request"
TEST = "rest.test"
# `$` would let a line break stand at the end.
_END = r"(?![\s\S])"
_TEXT = r"^[^\r\n\x00]+" + _END

KIND = ConnectionKind(
    name="rest",
    config_schema=form(
        {
            "base_url": {
                "type": "string",
                "pattern": r"^https?://[^\s@/]+",
                "description": "The API's address, with http:// or https://; with http:// the credential is sent unencrypted.",
            },
            "auth": {
                "enum": ["bearer", "basic", "header", "none"],
                "description": "One of bearer, basic, header and none; without it, what the credential is for.",
            },
            "header_name": {"type": "string", "pattern": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+" + _END, "description": "For header: the name of a header."},
            "username": {"type": "string", "pattern": _TEXT, "description": "For basic, where it is no secret: a text of one line."},
            "test_path": {
                "type": "string",
                "pattern": r"^/[^\s\\]{0,1000}" + _END,
                "description": "What a test asks for, from / on; otherwise base_url.",
            },
        },
        **{"if": {"properties": {"auth": {"const": "header"}}, "required": ["auth"]}, "then": {"required": ["header_name"]}},
    ),
    credential_schema=form(
        {
            name: {"type": "string", "pattern": _TEXT, "description": f"For {auth}: a text of one line."}
            for name, auth in (("token", "bearer"), ("username", "basic"), ("password", "basic"), ("value", "header"))
        }
    ),
    operations=frozenset({OPERATION}),
)
