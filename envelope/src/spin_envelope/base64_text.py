"""Standard base64 (RFC 4648, section 4) in its one canonical spelling: padded, without stray bits, without anything between."""

import base64

from spin_envelope.errors import Refused


def encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """Raises Refused for every other spelling."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused("not base64") from None
    if encode_base64(decoded) != text:
        raise Refused("base64 that is not canonical")
    return decoded
