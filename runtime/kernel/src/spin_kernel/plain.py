"""Values of a notebook as plain ones: what JSON and database drivers understand."""

import datetime
import decimal
import math
import uuid
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The value made of None, bool, int, float, str, lists and dicts. Raises TypeError with a text for people."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise TypeError(f"{value} has no form in JSON")
            return value
        case Mapping():
            return {_key(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal() | uuid.UUID():
            return str(value)
    return plain(_unboxed(value))


def scalar(value: Any) -> Any:
    """A value as a database driver takes it: numpy's scalars become Python's own."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "ndim", 0) else value


def _unboxed(value: Any) -> Any:
    # numpy's and pandas' scalars and arrays, without importing either.
    for method in ("tolist", "item"):
        if callable(getattr(value, method, None)):
            inside = getattr(value, method)()
            if type(inside) is not type(value):
                return inside
    raise TypeError(f"a value of type {type(value).__name__} cannot be sent: convert it to text, a number, a list or a dict first")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key of type {type(key).__name__} cannot be sent: keys must be text")
    return key
