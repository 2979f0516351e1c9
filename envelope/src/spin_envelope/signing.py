"""SignedMessage: signing, and verifying before parsing. docs/protocol.md, section 1; DSSE 1.0.2.

- What is verified is what was carried: the payload's bytes are hashed and checked as received and parsed once, afterwards.
- The payload type must be the one of the class that the caller asks for; a key counts once, however often it signed.
- A key id in a message is a hint which of the caller's own keys to try. Signatures by other keys are ignored.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Generic

from google.protobuf.message import Message

from spin_envelope.digests import pae
from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.parsing import M, check_size, parse
from spin_envelope.payloads import payload_type, spec_of
from spinapis.envelope.v1.signed_pb2 import Signature, SignedMessage

# Bounds the work that a hostile message can cause; two generations of a root with five keys each fit in.
MAX_SIGNATURES = 16


@dataclass(frozen=True)
class Verified(Generic[M]):
    """A message whose signatures were checked."""

    message: M
    # SHA-256 of the pre-authentication encoding: the message's name in other messages.
    digest: bytes
    # The SignedMessage as carried.
    data: bytes
    # Those of the caller's keys that signed.
    key_ids: frozenset[bytes]


def sign(message: Message, *keys: SigningKey) -> bytes:
    """Serializes and signs; gives a serialized SignedMessage. Raises Refused when that is over 4 MiB."""
    kind, payload = payload_type(type(message)), message.SerializeToString(deterministic=True)
    encoding = pae(kind, payload)
    signatures = [Signature(sig=key.sign(encoding), key_id=key.key_id) for key in keys]
    data = SignedMessage(payload=payload, payload_type=kind, signatures=signatures).SerializeToString(deterministic=True)
    check_size(data)
    return data


def countersigned(data: bytes, cls: type[Message], *keys: SigningKey) -> bytes:
    """The same payload with further signatures: neither its bytes nor its digest change. A key that signed already is passed over. Raises Refused."""
    envelope = _envelope(data, cls)
    encoding, there = pae(envelope.payload_type, envelope.payload), {signature.key_id for signature in envelope.signatures}
    envelope.signatures.extend(Signature(sig=key.sign(encoding), key_id=key.key_id) for key in keys if key.key_id not in there)
    if len(envelope.signatures) > MAX_SIGNATURES:
        raise Refused(f"{len(envelope.signatures)} signatures")
    carried = envelope.SerializeToString(deterministic=True)
    check_size(carried)
    return carried


def signed_by(data: bytes, cls: type[Message], keys: Iterable[VerifyKey]) -> frozenset[bytes]:
    """Ids of those of `keys` whose valid signatures the message carries; it may have none. Raises Refused."""
    envelope = _envelope(data, cls)
    return _signers(envelope, pae(envelope.payload_type, envelope.payload), {key.key_id: key for key in keys})


def verify(data: bytes, cls: type[M], keys: Iterable[VerifyKey], threshold: int = 1, revoked: Collection[bytes] = ()) -> Verified[M]:
    """Checks that `threshold` distinct ones of `keys` signed, and no fewer than the table demands for `cls`. Raises Refused."""
    envelope = _envelope(data, cls)
    encoding = pae(envelope.payload_type, envelope.payload)
    signed_by = _signers(envelope, encoding, {key.key_id: key for key in keys if key.key_id not in revoked})
    if len(signed_by) < max(threshold, len(spec_of(cls).signers)):
        raise Refused(f"{cls.DESCRIPTOR.name} lacks a valid signature")
    return Verified(parse(envelope.payload, cls), sha256(encoding).digest(), data, signed_by)


def unverified(data: bytes, cls: type[M]) -> M:
    """Parses without checking any signature: only to learn which key to verify with. Raises Refused."""
    return parse(_envelope(data, cls).payload, cls)


def _envelope(data: bytes, cls: type[Message]) -> SignedMessage:
    envelope = parse(data, SignedMessage)
    if envelope.payload_type != payload_type(cls):
        raise Refused(f"payload type {envelope.payload_type[:80]!r} where {cls.DESCRIPTOR.name} was expected")
    if len(envelope.signatures) > MAX_SIGNATURES:
        raise Refused(f"{len(envelope.signatures)} signatures")
    return envelope


def _signers(envelope: SignedMessage, encoding: bytes, keys: dict[bytes, VerifyKey]) -> frozenset[bytes]:
    return frozenset(s.key_id for s in envelope.signatures if s.key_id in keys and keys[s.key_id].verify(s.sig, encoding))
