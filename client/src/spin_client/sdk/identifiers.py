"""Ids: 32 hexadecimal digits in the services' API, 16 bytes in signed documents."""

import secrets

from spin_client.sdk.errors import SpinError


def id_bytes(text: str) -> bytes:
    """The bytes of an id; INVALID_ARGUMENT when it is none."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 16:
        raise SpinError("INVALID_ARGUMENT", f"{text!r} is not an id: expected 32 hexadecimal digits")
    return value


def looks_like_id(text: str) -> bool:
    return len(text) == 32 and all(c in "0123456789abcdef" for c in text)


def new_idempotency_key() -> str:
    return secrets.token_hex(16)


def fingerprint_text(fingerprint: bytes) -> str:
    """Eight groups of eight hexadecimal digits, as the runtime's log shows it."""
    digits = fingerprint.hex()
    return " ".join(digits[i : i + 8] for i in range(0, len(digits), 8))
