"""What a fuzz target is: bytes go in; a value comes out, or the module's own typed refusal.

- Any other exception is a finding. So is memory: `MEMORY_BYTES` bounds what one input may take, and `RSS_MB` the whole process while fuzzing.
- Keys are fixed, so that an input means the same in every process. `seeds` gives real messages to begin with.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

# More digits than Python turns into a number, and nesting deeper than its stack, fit in.
MAX_INPUT = 8192
MEMORY_BYTES = 64 << 20
RSS_MB = 1024


@dataclass(frozen=True)
class Target:
    name: str
    decode: Callable[[bytes], Any]
    refusals: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]

    def run(self, data: bytes) -> None:
        """Raises what is not a refusal of the module's own."""
        try:
            self.decode(data)
        except self.refusals:
            return


def text_of(data: bytes) -> str:
    """As protobuf and gRPC hand text on: valid UTF-8."""
    return data.decode(errors="replace")
