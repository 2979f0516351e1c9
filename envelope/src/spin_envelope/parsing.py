"""The border to protobuf: a size limit before decoding, and `Refused` for all that does not decode.

protobuf limits nesting (100 levels) and checks UTF-8 by itself. Fields given twice and unknown fields are legal on the wire, and
harmless here: signatures and digests cover the bytes as carried, and both Python and TypeScript take the last value.
"""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from spin_envelope.errors import Refused

M = TypeVar("M", bound=Message)

# No message of the protocol is longer.
MAX_MESSAGE = 4 * 1024 * 1024


def check_size(data: bytes) -> None:
    """Raises Refused when `data` is longer than any message may be."""
    if len(data) > MAX_MESSAGE:
        raise Refused(f"{len(data)} bytes are more than a message may have")


def parse(data: bytes, cls: type[M]) -> M:
    """Decodes a message. Raises Refused."""
    check_size(data)
    message = cls()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Refused(f"not a {cls.DESCRIPTOR.name}: {error}") from None
    return message
