"""The lines of a log's export, decoded and not yet believed. docs/protocol.md, section 7. Bytes are in base64."""

from dataclasses import dataclass
from typing import Any

from spin_envelope.base64_text import decode_base64
from spin_envelope.digests import read_json
from spin_envelope.errors import Refused

# A signed receipt of 4 MiB in base64, and a body beside it.
MAX_LINE = 16 * 1024 * 1024
FORMAT = 1


@dataclass(frozen=True)
class Header:
    workspace_id: bytes
    # A signed note.
    checkpoint: str
    root_documents: tuple[bytes, ...]
    # True for a whole log, False for the entries of one session.
    full: bool


@dataclass(frozen=True)
class Entry:
    index: int
    # A serialized LogLeaf.
    leaf: bytes
    # Both empty when the body was erased.
    salt: bytes
    body: bytes
    # The signed Receipt; empty for entries that are about none.
    receipt: bytes
    proof: tuple[bytes, ...]


def read_header(line: bytes) -> Header:
    """The first line. Raises Refused."""
    members = _members(line)
    if members.get("spin_export") != FORMAT or members.get("kind") not in ("full", "session"):
        raise Refused("not an export of a log, or one in another format")
    return Header(_hex(members, "workspace_id"), _text(members, "checkpoint"), _byte_strings(members, "root_documents"), members["kind"] == "full")


def read_entry(line: bytes) -> Entry:
    """Any other line. Raises Refused."""
    members = {"receipt": "", "proof": []} | _members(line)
    index = members.get("index")
    if type(index) is not int or index < 0:
        raise Refused("an entry without an index")
    leaf, salt, body, receipt = (decode_base64(_text(members, name)) for name in ("leaf", "salt", "body", "receipt"))
    return Entry(index, leaf, salt, body, receipt, _byte_strings(members, "proof"))


def _members(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise Refused(f"a line of {len(line)} bytes")
    members = read_json(line)
    if not isinstance(members, dict):
        raise Refused("a line that is no JSON object")
    return members


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise Refused(f"{name!r} is no text")
    return value


def _hex(members: dict[str, Any], name: str) -> bytes:
    try:
        return bytes.fromhex(_text(members, name))
    except ValueError:
        raise Refused(f"{name!r} is not hexadecimal") from None


def _byte_strings(members: dict[str, Any], name: str) -> tuple[bytes, ...]:
    values = members.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Refused(f"{name!r} is no list of texts")
    return tuple(map(decode_base64, values))
