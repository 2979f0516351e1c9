"""Sealed: one message for one boot of one runtime. docs/protocol.md, sections 1 and 5; HPKE (RFC 9180), base mode, one shot.

- The header travels in the clear and is bound into HPKE's info as the bytes received.
- The receiver checks size, header and key before it opens anything; what it opens is a SignedMessage, which still has to be verified.
- Whoever seals is not authenticated by sealing: the signature inside does that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spin_envelope.digests import key_id, sealed_digest
from spin_envelope.errors import Refused
from spin_envelope.hpke_keys import RecipientKey, Suite, check_recipient, encrypt
from spin_envelope.parsing import MAX_MESSAGE, check_size, parse
from spinapis.envelope.v1.signed_pb2 import PublicKey, Sealed, SealedHeader, SignedMessage

__all__ = ["MAX_MESSAGE", "Opened", "RecipientKey", "Suite", "check_recipient", "header_of", "open_sealed", "seal"]

VERSION = 1


@dataclass(frozen=True)
class Opened:
    """What was inside a Sealed. The payload type is the one of the SignedMessage, and nothing of it is verified yet."""

    content_type: str
    signed: bytes
    # SHA-256 of the Sealed as carried.
    digest: bytes


def seal(signed: bytes, *, content_type: str, workspace_id: bytes, runtime_id: bytes, boot_id: bytes, recipient: PublicKey, min_suite: int) -> bytes:
    """Seals a serialized SignedMessage; gives a serialized Sealed. Raises Refused."""
    suite = check_recipient(recipient)
    _check_suite(suite, min_suite)
    _check_content_type(signed, content_type)
    header = SealedHeader(
        version=VERSION,
        suite=suite,
        content_type=content_type,
        workspace_id=workspace_id,
        runtime_id=runtime_id,
        boot_id=boot_id,
        recipient_key_id=key_id(recipient.algorithm, recipient.public_key),
    ).SerializeToString(deterministic=True)
    data = Sealed(header=header, ciphertext=encrypt(signed, recipient, _info(header))).SerializeToString(deterministic=True)
    check_size(data)
    return data


def header_of(data: bytes) -> SealedHeader:
    """The header, which anybody may have written. Raises Refused."""
    return parse(parse(data, Sealed).header, SealedHeader)


def open_sealed(
    data: bytes, key: RecipientKey | Sequence[RecipientKey], *, workspace_id: bytes, runtime_id: bytes, boot_id: bytes, min_suite: int
) -> Opened:
    """Opens what was sealed to one of the keys, for this workspace, runtime and boot. Raises Refused."""
    sealed = parse(data, Sealed)
    header = parse(sealed.header, SealedHeader)
    if header.version != VERSION:
        raise Refused(f"sealed format {header.version}")
    if (header.workspace_id, header.runtime_id, header.boot_id) != (workspace_id, runtime_id, boot_id):
        raise Refused("sealed for another workspace, runtime or boot")
    recipient = _recipient(header, [key] if isinstance(key, RecipientKey) else key)
    _check_suite(recipient.suite, min_suite)
    signed = recipient.decrypt(sealed.ciphertext, _info(sealed.header))
    _check_content_type(signed, header.content_type)
    return Opened(header.content_type, signed, sealed_digest(data))


def _info(header: bytes) -> bytes:
    return b"spin/hpke/v1\0" + header


def _recipient(header: SealedHeader, keys: Sequence[RecipientKey]) -> RecipientKey:
    for key in keys:
        if key.key_id == header.recipient_key_id and key.suite == header.suite:
            return key
    raise Refused("sealed to another key, or in a suite that is not the key's")


def _check_suite(suite: int, min_suite: int) -> None:
    if suite < min_suite:
        raise Refused(f"suite {suite} where {min_suite} is the least")


def _check_content_type(signed: bytes, content_type: str) -> None:
    found = parse(signed, SignedMessage).payload_type
    if found != content_type:
        raise Refused(f"{found[:80]!r} sealed as {content_type[:80]!r}")
