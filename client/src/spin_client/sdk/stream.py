"""Positions of a session's stream, pure.

Frames of the stream are numbered 1, 2, 3, … for every client. `Cursor` remembers the last one that was handed on: after a new
attachment the runtime may send frames again or, if it is broken, leave some out. Repeats are dropped, a gap asks for a resume.
"""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    DELIVER = "deliver"
    # Seen before, on an earlier connection.
    DROP = "drop"
    # Something is missing in between: resume from the cursor.
    GAP = "gap"


@dataclass
class Cursor:
    """`position` is the last frame handed on; None before the first attachment."""

    position: int | None = None
    boot_id: bytes = b""

    def attach(self, boot_id: bytes, first: int, last: int, *, from_start: bool) -> int:
        """Where to resume. A first attachment takes the whole stream or only what comes; a later one goes on where the last ended.

        A stream that no longer reaches back to the cursor, or is shorter than it, is a new one: its frames are taken from the first.
        """
        if self.position is None:
            self.position = max(first - 1, 0) if from_start else last
        elif self.position > last or self.position < first - 1:
            self.position = max(first - 1, 0)
        self.boot_id = boot_id
        return self.position

    def judge(self, position: int) -> Verdict:
        """Of a frame that came; 0 is a frame outside the stream."""
        if position == 0:
            return Verdict.DELIVER
        expected = (self.position or 0) + 1
        if position < expected:
            return Verdict.DROP
        if position > expected:
            return Verdict.GAP
        self.position = position
        return Verdict.DELIVER
