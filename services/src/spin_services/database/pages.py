"""Page sizes and page tokens of every list.

Rules: a token is opaque to clients, holds a position (not data) and is bound to the list that issued it: given to another list, or
altered, it is refused with PAGE_TOKEN_INVALID.
"""

import base64
import binascii
import hashlib

import orjson

from spin_services.rpc.errors import ErrorReason, ServiceError

DEFAULT_SIZE = 50
MAXIMUM_SIZE = 500
Position = list[str | int]


def clamp(page_size: int, default: int = DEFAULT_SIZE, maximum: int = MAXIMUM_SIZE) -> int:
    return min(page_size, maximum) if page_size > 0 else default


def encode(listing: str, *position: str | int) -> str:
    """`listing` names the list and all its filters, such as "members:<workspace id>"."""
    body = orjson.dumps(list(position))
    return base64.urlsafe_b64encode(_mark(listing, body) + body).rstrip(b"=").decode()


def decode(listing: str, token: str, kind: type[int] | type[str], *kinds: type[int] | type[str]) -> Position | None:
    """The position that was encoded, of these kinds; None for the first page."""
    if not token:
        return None
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise ServiceError(ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID) from None
    mark, body = data[:8], data[8:]
    if mark != _mark(listing, body):
        raise ServiceError(ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID)
    # The mark finds mistakes; it is no secret, so the body may be anybody's.
    try:
        position = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ServiceError(ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID) from None
    if not isinstance(position, list) or [type(part) for part in position] != [kind, *kinds] or not all(map(_storable, position)):
        raise ServiceError(ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID)
    return position


def _storable(part: str | int) -> bool:
    """What a list can have encoded: every column takes it."""
    return "\0" not in part if isinstance(part, str) else 0 <= part < 2**63


def _mark(listing: str, body: bytes) -> bytes:
    return hashlib.sha256(b"spin/page/v1\0" + listing.encode() + b"\0" + body).digest()[:8]
