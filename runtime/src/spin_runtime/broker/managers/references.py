"""References of a connection, and the value that one means of what was read. Pure.

- A path is made of ordinary characters; nothing in it can end it or step out of it, whatever address it becomes part of.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spin_cells.api import SecretReference
from spin_runtime.broker.managers.interface import MAXIMUM_VALUE, Failure, ManagerFailed, Secret
from spin_runtime.broker.redaction import values_of

_PATH = re.compile(r"[A-Za-z0-9_.:@+=,!$ /-]{1,512}")
_VERSION = re.compile(r"[A-Za-z0-9_.-]{0,128}")


@dataclass(frozen=True)
class Place:
    """What is read at once, and cached."""

    manager: str
    path: str
    version: str = ""


def place_of(reference: SecretReference) -> Place:
    return Place(reference.manager, reference.path, reference.version)


def fault(place: Place) -> str:
    """What is wrong with the form of a place; empty when nothing is."""
    parts = place.path.split("/")
    if not _PATH.fullmatch(place.path) or any(part in (".", "..") for part in parts) or "" in parts[1:]:
        return "a path is made of letters, digits and _.:@+=,!$ /- without empty parts, . and .."
    return "" if _VERSION.fullmatch(place.version) else "a version is made of letters, digits and _.-"


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


def texts_in(secret: Secret) -> list[str]:
    """All that a reference could mean of it, with the whole of it."""
    whole = [secret.content] if isinstance(secret.content, str) else []
    return [*whole, *values_of(_members(secret.content))]


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
