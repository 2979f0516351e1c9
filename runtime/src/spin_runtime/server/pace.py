"""How fast a client may go on sending what is refused: so many at once, then one after another.

Nothing is dropped, because every refusal has its receipt: the client's next frame is read later, and what it sends waits in its own socket.
"""

from collections.abc import Callable

REFUSED_AT_ONCE = 20
REFUSED_PER_S = 5.0


class Pace:
    def __init__(self, clock_s: Callable[[], float], at_once: int = REFUSED_AT_ONCE, per_s: float = REFUSED_PER_S) -> None:
        self._clock_s, self._at_once, self._per_s = clock_s, at_once, per_s
        # When all that was counted so far is paid off.
        self._paid_s = 0.0

    def refused(self) -> float:
        """Counts one, and says for how many seconds nothing more should be read."""
        now_s = self._clock_s()
        self._paid_s = max(self._paid_s, now_s) + 1 / self._per_s
        return max(0.0, self._paid_s - now_s - self._at_once / self._per_s)
