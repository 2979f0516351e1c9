"""References: for fields of a credential, where their values are. Pure.

    {"token": {"manager": "vault", "path": "secret/ci", "key": "token", "version": "3"}}      key and version may be left out

- A path is made of ordinary characters; nothing in it can end it or step out of it, whatever address it becomes part of.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spin_runtime.broker.managers.interface import MAXIMUM_VALUE, Failure, ManagerFailed, Secret

_PATH = re.compile(r"[A-Za-z0-9_.:@+=,!$ /-]{1,512}\Z")
_VERSION = re.compile(r"[A-Za-z0-9_.-]{0,128}\Z")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


class ReferenceInvalid(ValueError):
    """Says what is wrong, without repeating it."""


@dataclass(frozen=True)
class Place:
    """What is read at once, and cached."""

    manager: str
    path: str
    version: str = ""


@dataclass(frozen=True)
class Reference:
    place: Place
    key: str = ""


def reference(field: str, value: Any) -> Reference:
    """Raises ReferenceInvalid."""
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for part in value.values()):
        raise ReferenceInvalid(f"{field}: a reference is an object of texts")
    if unknown := set(value) - {"manager", "path", "key", "version"}:
        raise ReferenceInvalid(f"{field}: a reference has no {', '.join(sorted(map(str, unknown)))[:80]}")
    manager, path, version = value.get("manager", ""), value.get("path", ""), value.get("version", "")
    if not NAME.match(manager):
        raise ReferenceInvalid(f"{field}.manager: the name of a manager of the runtime")
    if not _PATH.match(path) or any(part in (".", "..") for part in path.split("/")) or "//" in path:
        raise ReferenceInvalid(f"{field}.path: a path of letters, digits and _.:@+=,!$ /- without empty parts, . and ..")
    if not _VERSION.match(version):
        raise ReferenceInvalid(f"{field}.version: a version's name or number")
    return Reference(Place(manager, path, version), value.get("key", ""))


def select(secret: Secret, key: str) -> str:
    """The value that a reference means. A text may be a JSON object, of which a key is one member. Raises ManagerFailed."""
    content = secret.content
    if key:
        value = _members(content).get(key)
        if value is None:
            raise ManagerFailed(Failure.WRONG_KEY)
    elif isinstance(content, str):
        value = content
    elif len(content) == 1:
        (value,) = content.values()
    else:
        raise ManagerFailed(Failure.NEEDS_KEY)
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text.encode()) > MAXIMUM_VALUE:
        raise ManagerFailed(Failure.TOO_LARGE)
    return text


def _members(content: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(content, str):
        return content
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        parsed = None  # the error's text would repeat the value
    return parsed if isinstance(parsed, dict) else {}


def as_text(data: bytes) -> str:
    """Raises ManagerFailed for bytes that are no UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ManagerFailed(Failure.NOT_TEXT) from None
