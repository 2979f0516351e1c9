"""The output chain of a run: what the runtime testifies to have shown. docs/protocol.md, section 7.

    h_0 = 32 zero bytes;  h_i = SHA-256("spin/out/v1" || h_{i-1} || u32 i || u8 kind || u64 len(body) || body)

Every output of every run passes here, so a small one must cost about a microsecond.
"""

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct, error

from spin_envelope.errors import Refused

DOMAIN = b"spin/out/v1"
START = bytes(32)

_link = Struct(">IBQ").pack


class OutputChain:
    """The chain so far: how many outputs, and the value after them. Starts anywhere that a receipt tells of."""

    __slots__ = ("digest", "frames")

    def __init__(self, frames: int = 0, digest: bytes = START) -> None:
        self.frames = frames
        self.digest = digest

    def append(self, kind: int, body: bytes) -> None:
        """Chains one output's body, as carried. Raises Refused when a number does not fit."""
        self.extend(((kind, body),))

    def extend(self, outputs: Iterable[tuple[int, bytes]]) -> None:
        """Chains outputs, as (kind, body), in order. Raises Refused when a number does not fit; those before it are chained."""
        frames, digest = self.frames, self.digest
        try:
            for kind, body in outputs:
                digest = sha256(DOMAIN + digest + _link(frames + 1, kind, len(body)) + body).digest()
                frames += 1
        except error as failure:
            raise Refused(f"no output of a chain: {failure}") from None
        finally:
            self.frames, self.digest = frames, digest
