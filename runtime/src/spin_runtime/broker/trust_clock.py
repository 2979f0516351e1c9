"""The time by which trust runs out: it goes on however the machine's clock is turned.

- It never goes back: within a boot the time that passed counts as well as the clock, and across boots what an earlier one saw.
- While the clock of a new boot is behind that, nobody knows how long the runtime was down. Then it is `NEVER`, which is after every expiry.
- A newer trust state, which must be valid by the machine's clock, begins it anew: so a clock that was ahead once does no lasting harm.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from spin_runtime.broker.trust import SKEW_MS

NEVER = 1 << 62


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def boot_clock_ms() -> int:
    """Milliseconds since the machine came up; a sleeping machine's count."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


@dataclass(frozen=True)
class Clocks:
    # Unix milliseconds, which somebody may set; and milliseconds that only pass.
    wall: Callable[[], int]
    elapsed: Callable[[], int]


class TrustClock:
    def __init__(self, clock: Callable[[], int], elapsed: Callable[[], int], seen_ms: int) -> None:
        """`seen_ms` is the latest time that an earlier boot saw under the same trust state."""
        self._clock, self._elapsed = clock, elapsed
        self._earlier_ms = seen_ms
        self._mark(max(clock(), seen_ms))

    @property
    def set_back(self) -> bool:
        return self._clock() < self._earlier_ms - SKEW_MS

    @property
    def seen_ms(self) -> int:
        """The latest time so far, for the next boot."""
        passed = self._at_ms + self._elapsed() - self._began_ms
        self._mark(max(self._clock(), passed, self._at_ms))
        return self._at_ms

    def now(self) -> int:
        return NEVER if self.set_back else self.seen_ms

    def begin_anew(self) -> None:
        """A newer trust state was accepted by the machine's clock, in this boot."""
        self._earlier_ms = 0
        self._mark(self._clock())

    def _mark(self, now_ms: int) -> None:
        self._at_ms, self._began_ms = now_ms, self._elapsed()
