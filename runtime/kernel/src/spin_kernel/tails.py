"""The ends of printed text that may be the beginning of a secret's value: held back until more comes, or nothing more does.

- One tail for each request that prints. It goes out when the request shows something else or is done, and when nothing was printed for `HOLD_S`: so a
  value that is printed in pieces with longer pauses is shown.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spin_kernel.redaction import Redactor

HOLD_S = 1.0


@dataclass
class _Tail:
    parent: dict[str, Any]
    text: str
    since_s: float


class Tails:
    def __init__(self) -> None:
        self._tails: dict[str, _Tail] = {}
        # Requests whose tails go out with the next flush.
        self._ended: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._tails)

    def __contains__(self, msg_id: str) -> bool:
        return msg_id in self._tails

    def feed(self, redactor: "Redactor", parent: dict[str, Any], text: str) -> str:
        """What may be shown now of what was held back and the text."""
        msg_id = parent.get("msg_id", "")
        before = self._tails.pop(msg_id, None)
        text = text if before is None else before.text + text
        cut = redactor.cut(text)
        if cut < len(text):
            self._tails[msg_id] = _Tail(parent, text[cut:], time.monotonic())
        return redactor.text(text[:cut])

    def end(self, msg_id: str) -> None:
        self._ended.add(msg_id)

    def end_stale(self) -> None:
        now_s = time.monotonic()
        self._ended |= {msg_id for msg_id, tail in self._tails.items() if now_s - tail.since_s >= HOLD_S}

    def ended(self, redactor: "Redactor") -> Iterator[tuple[dict[str, Any], str]]:
        ended, self._ended = self._ended, set()
        for msg_id in ended & self._tails.keys():
            tail = self._tails.pop(msg_id)
            yield tail.parent, redactor.text(tail.text)
