"""Protocol messages as plain data for JSON and for tables: ids as text, digests as hexadecimal, enums by their short names."""

import json
from datetime import UTC, datetime
from typing import Any, cast

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message


def plain(message: Message) -> dict[str, Any]:
    """Every field of the message, set or not, so that scripts may rely on the keys. `*_json` fields become what they hold."""
    return {field.name.removesuffix("_json"): _value(message, field) for field in _fields(message) if _present(message, field)}


def moment(ms: int) -> str:
    """A time for people, in their own zone; empty for 0."""
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if ms else ""


def short_enum(enum: EnumDescriptor, number: int) -> str:
    """MEMBER_ROLE_OWNER of MemberRole is "owner"."""
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = "".join(f"_{c}" if c.isupper() else c for c in enum.name).lstrip("_").upper() + "_"
    return value.name.removeprefix(prefix).lower()


def _fields(message: Message) -> list[FieldDescriptor]:
    # The stubs name two implementations of one interface.
    return cast(list[FieldDescriptor], list(message.DESCRIPTOR.fields))


def _present(message: Message, field: FieldDescriptor) -> bool:
    return not field.has_presence or message.HasField(field.name)


def _value(message: Message, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [_single(item, field) for item in value]
    return _single(value, field)


def _single(value: Any, field: FieldDescriptor) -> Any:
    if isinstance(value, Message):
        return plain(value)
    if isinstance(value, bytes):
        return value.hex()
    if field.enum_type is not None:
        return short_enum(field.enum_type, value)
    if isinstance(value, str) and field.name.endswith("_json"):
        return _parsed(value)
    return value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
