"""Progress bars: one display that is updated, at most ten times a second, and always once at the end."""

import time
from collections.abc import Iterable, Iterator
from html import escape
from operator import length_hint
from types import TracebackType
from typing import Any, TypeVar

from spin_kernel.request import interactive_shell

T = TypeVar("T")

MIME = "application/vnd.spin.progress.v1+json"
INTERVAL_S = 0.1
WIDTH = 40


class Progress:
    """A bar that code moves itself:

    with Progress(len(files)) as bar:
        for file in files:
            bar.update(text=file.name)
    """

    def __init__(self, total: float | None = None, text: str = "") -> None:
        self.total, self.text, self.done = total, text, 0.0
        self._fraction: float | None = None
        self._handle: Any = None
        self._shown_s = 0.0

    def __enter__(self) -> "Progress":
        self.show(self._now(), self.text)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def update(self, amount: float = 1, text: str | None = None) -> None:
        """Moves on by `amount` of the total."""
        self.done += amount
        self.show(self._now(), self.text if text is None else text)

    def show(self, fraction: float | None, text: str = "") -> None:
        """Shows this fraction, from 0 to 1, or None where the end is not known."""
        self._fraction, self.text = None if fraction is None else min(1.0, max(0.0, fraction)), text
        now_s = time.monotonic()
        if self._handle is None or now_s - self._shown_s >= INTERVAL_S:
            self._shown_s = now_s
            self._publish()

    def close(self) -> None:
        """Shows the last state, whatever was held back."""
        self._publish()

    def _now(self) -> float | None:
        return self.done / self.total if self.total else None

    def _publish(self) -> None:
        if interactive_shell() is None:
            return
        from IPython.display import display

        bundle = bundle_of(self._fraction, self.text)
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


def progress(iterable: Iterable[T], total: float | None = None, text: str = "") -> Iterator[T]:
    """Goes through the items and shows how far it is."""
    with Progress(total or length_hint(iterable) or None, text) as bar:
        for item in iterable:
            yield item
            bar.update()


def bundle_of(fraction: float | None, text: str) -> dict[str, Any]:
    """The bar for our own clients, and what others can show of it."""
    filled = WIDTH if fraction is None else round(fraction * WIDTH)
    percent = "" if fraction is None else f"{fraction:.0%}"
    value = "" if fraction is None else f' value="{fraction:.4f}"'
    return {
        MIME: {"fraction": fraction, "text": text},
        "text/plain": f"[{('·' if fraction is None else '█') * filled}{' ' * (WIDTH - filled)}] {percent} {text}".rstrip(),
        "text/html": f"<progress{value}></progress> {percent} {escape(text)}".rstrip(),
    }
