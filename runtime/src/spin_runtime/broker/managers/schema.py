"""The form of the operator's file, as JSON Schema: `{"managers": {NAME: {"kind": …, "allow": […], …}}}`."""

from typing import Any

_FILE = {"type": "string", "pattern": "^/", "description": "the absolute path of a file"}
_ENV = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$", "description": "the name of a variable of the runtime's environment"}
_TEXT = {"type": "string", "pattern": r"^[^\s\x00-\x1f]{1,512}$", "description": "a text without spaces"}
_ADDRESS = {
    "type": "string",
    "pattern": r"^(https://[^\s/@?#]+(/[^\s?#]*)?|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?)$",
    "description": "an address with https:// (http:// on this machine alone)",
}
_MOUNT = {"type": "string", "pattern": "^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", "description": "the path of a mount, without / at its ends"}
_PATTERN = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_.:@+=,!$ /*-]{1,512}$",
    "description": "a path; * stands for one part or some of it, ** for any",
}
_HOST = {"type": "string", "pattern": r"^[A-Za-z0-9_.:\[\]-]{1,253}$", "description": "a host, with :port where it is not the scheme's own"}

# What every kind has.
_SHARED: dict[str, Any] = {
    "kind": {},
    "allow": {
        "type": "array",
        "minItems": 1,
        "maxItems": 1000,
        "description": "the paths that connections may name",
        "items": {
            "anyOf": [
                _PATTERN,
                {
                    "type": "object",
                    "required": ["path"],
                    "additionalProperties": False,
                    "properties": {
                        "path": _PATTERN,
                        "hosts": {"type": "array", "minItems": 1, "items": _HOST},
                        "expose": {"type": "boolean"},
                    },
                },
            ],
            "description": 'a path, or {"path": …, "hosts": […], "expose": true}',
        },
    },
    "keep_s": {"type": "number", "minimum": 0, "maximum": 3600, "description": "for how many seconds a value without a lease is kept, 0 to 3600"},
    "timeout_s": {"type": "number", "exclusiveMinimum": 0, "maximum": 120, "description": "the seconds that an answer may take, up to 120"},
}


def _form(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": ["kind", "allow", *(required or [])], "additionalProperties": False, "properties": _SHARED | properties}


def _method(name: str, required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["method", *required],
        "additionalProperties": False,
        "properties": {"method": {"const": name}, **properties},
    }


VAULT_AUTH = {
    "approle": _method("approle", ["role_id"], role_id=_TEXT, secret_id_file=_FILE, secret_id_env=_ENV, mount=_MOUNT),
    "kubernetes": _method("kubernetes", ["role"], role=_TEXT, token_file=_FILE, mount=_MOUNT),
    "token": _method("token", [], token_file=_FILE, token_env=_ENV),
}

KINDS: dict[str, dict[str, Any]] = {
    "vault": _form(
        ["address", "auth"],
        address=_ADDRESS,
        namespace=_MOUNT,
        ca_file=_FILE,
        kv2={"type": "array", "items": _MOUNT, "description": "the mounts that are KV version 2"},
        auth={"type": "object", "required": ["method"], "properties": {"method": {"enum": list(VAULT_AUTH)}}},
    ),
    "aws_secrets_manager": _form(["region"], region=_TEXT, endpoint=_ADDRESS, profile=_TEXT, ca_file=_FILE),
    "aws_ssm": _form(["region"], region=_TEXT, endpoint=_ADDRESS, profile=_TEXT, ca_file=_FILE),
    "gcp_secret_manager": _form(["project"], project=_TEXT, credentials_file=_FILE, endpoint=_ADDRESS),
    "azure_key_vault": _form(
        ["vault_url"],
        vault_url=_ADDRESS,
        ca_file=_FILE,
        identity={
            "type": "object",
            "required": ["tenant_id", "client_id"],
            "additionalProperties": False,
            "properties": {"tenant_id": _TEXT, "client_id": _TEXT, "client_secret_file": _FILE, "client_secret_env": _ENV, "authority": _TEXT},
        },
    ),
    "kubernetes": _form(address=_ADDRESS, token_file=_FILE, ca_file=_FILE),
    "runtime_env": _form(),
    "file": _form(["root"], root=_FILE),
}

# The files that must be there when the runtime starts; tokens of Vault Agent and the like may come later.
FILES = ("secret_id_file", "ca_file", "credentials_file", "client_secret_file")
# Each pair is two ways to say the same: exactly one is needed.
EITHER = {
    "approle": ("secret_id_file", "secret_id_env"),
    "token": ("token_file", "token_env"),
    "identity": ("client_secret_file", "client_secret_env"),
}
