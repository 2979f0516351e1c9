"""The log's checkpoint as a signed note. C2SP signed-note and tlog-checkpoint; docs/protocol.md, section 7.

    spin/<workspace id>          origin, which is the key's name as well
    <tree size>
    <base64 root hash>

    — spin/<workspace id> <base64(key hash 4 | Ed25519 signature)>

Signatures by unknown keys are ignored, so that others may sign as well; a bad one by a known key refuses the note. Extension lines are refused.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from spin_envelope.base64_text import decode_base64, encode_base64
from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey, VerifyKey

# tlog-witness bounds notes alike; sixteen signatures fit in many times over.
MAX_NOTE = 64 * 1024
MAX_SIZE = 2**63 - 1

_SIGNATURE_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_ORIGIN = re.compile(r"spin/[0-9a-f]{32}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Checkpoint:
    """How large a log is and what it hashes to. Raises Refused for values that no checkpoint has."""

    origin: str
    size: int
    root_hash: bytes

    def __post_init__(self) -> None:
        if not _ORIGIN.fullmatch(self.origin) or not 0 <= self.size <= MAX_SIZE or len(self.root_hash) != 32:
            raise Refused("no checkpoint of a workspace's log")

    @property
    def text(self) -> str:
        """The note's text, which is what is signed."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root_hash)}\n"


def origin_of(workspace_id: bytes) -> str:
    return f"spin/{workspace_id.hex()}"


def sign_note(checkpoint: Checkpoint, key: SigningKey) -> str:
    signature = _key_hash(checkpoint.origin, key.public) + key.sign(checkpoint.text.encode())
    return f"{checkpoint.text}\n— {checkpoint.origin} {encode_base64(signature)}\n"


def open_note(note: str | bytes, keys: Iterable[VerifyKey], origin: str) -> Checkpoint:
    """The checkpoint of that origin which one of the keys signed. Raises Refused."""
    text, lines = _split(note)
    known = {_key_hash(origin, key.public): key for key in keys}
    signed = False
    for name, signature in map(_signature, lines):
        key = known.get(signature[:4]) if name == origin else None
        if key is not None:
            if not key.verify(signature[4:], text.encode()):
                raise Refused("a note with a bad signature by a known key")
            signed = True
    if not signed:
        raise Refused("a note without a signature by a known key")
    return _checkpoint(text, origin)


def unverified_checkpoint(note: str | bytes, origin: str) -> Checkpoint:
    """What a note says, for whoever verified it before, or has it from someone who did. Raises Refused."""
    return _checkpoint(_split(note)[0], origin)


def _checkpoint(text: str, origin: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) != 4 or lines[0] != origin or not _SIZE.fullmatch(lines[1]):
        raise Refused("a note that is no checkpoint of this log")
    return Checkpoint(origin, int(lines[1]), decode_base64(lines[2]))


def _split(note: str | bytes) -> tuple[str, list[str]]:
    """The text with its final newline, and the signature lines."""
    if len(note) > MAX_NOTE:
        raise Refused(f"a note of {len(note)} characters")
    try:
        decoded = note.decode() if isinstance(note, bytes) else note.encode().decode()
    except UnicodeError:
        raise Refused("a note that is not UTF-8") from None
    if any(character < " " and character != "\n" for character in decoded):
        raise Refused("a note with control characters")
    text, blank, signatures = decoded.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise Refused("a note without signatures")
    return text + "\n", signatures[:-1].split("\n")


def _signature(line: str) -> tuple[str, bytes]:
    match = _SIGNATURE_LINE.fullmatch(line)
    if not match:
        raise Refused("a note with a line that is no signature")
    return match[1], decode_base64(match[2])


def _key_hash(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n\x01" + public).digest()[:4]
