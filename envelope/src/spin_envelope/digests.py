"""Everything that is hashed outside the output chain and the Merkle tree. docs/protocol.md, sections 1 and 5.

- Each hash starts with a domain of its own ("spin/…/v1"), or is over an encoding that does ("DSSEv1").
- Integers are big-endian; variable parts carry their length.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import rfc8785

from spin_envelope.errors import Refused
from spin_envelope.parsing import parse
from spinapis.envelope.v1.signed_pb2 import SignedMessage


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE 1.0.2 pre-authentication encoding: the bytes that a signature is over."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(algorithm: int, public_key: bytes) -> bytes:
    """Name of a key, which binds its algorithm."""
    return sha256(b"spin/kid/v1" + algorithm.to_bytes(2) + public_key).digest()


def fingerprint(identity_key: bytes) -> str:
    """What people compare before they confirm a runtime: eight groups of eight hexadecimal digits."""
    digits = sha256(identity_key).hexdigest()
    return " ".join(digits[i : i + 8] for i in range(0, 64, 8))


def signed_digest(data: bytes) -> bytes:
    """Digest of a SignedMessage as carried: SHA-256 of its PAE, so that it does not depend on the signatures. Raises Refused."""
    message = parse(data, SignedMessage)
    return sha256(pae(message.payload_type, message.payload)).digest()


def sealed_digest(data: bytes) -> bytes:
    """Digest of a Sealed: SHA-256 of its bytes."""
    return sha256(data).digest()


def source_digest(cell_type: str, source: str, fields_json: str) -> bytes:
    """Digest of a cell's definition; `fields_json` may be written in any way, its canonical form is hashed. Raises Refused."""
    parts = (_utf8(cell_type), _utf8(source), canonical_json(read_json(fields_json)))
    return sha256(b"spin/cell/v1" + b"".join(len(part).to_bytes(4) + part for part in parts)).digest()


def params_digest(params: Mapping[str, Any]) -> bytes:
    """Digest of an operation's parameters. Raises Refused."""
    return sha256(b"spin/params/v1" + canonical_json(dict(params))).digest()


def body_commitment(salt: bytes, body: bytes) -> bytes:
    """What a log leaf says of its body: hiding, because of the salt, and binding."""
    return sha256(salt + body).digest()


def canonical_json(value: Any) -> bytes:
    """RFC 8785. Raises Refused for what JSON cannot carry exactly: NaN, integers from 2^53 on, lone surrogates."""
    try:
        return rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        raise Refused(f"no canonical JSON: {error}") from None


def read_json(text: str | bytes) -> Any:
    """Parses JSON; a name given twice in an object is refused, as RFC 8785 demands (I-JSON). Raises Refused."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise Refused(f"not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Refused(f"not UTF-8: {error.reason}") from None
