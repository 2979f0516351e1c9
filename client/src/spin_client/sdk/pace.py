"""When what is gathered leaves: soon when nothing more comes, together while more does, at once when somebody waits for it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Short cells that follow one another come closer together than this.
QUIET_S = 0.05
# What keeps coming leaves this often all the same.
MOST_S = 0.25


class Pace:
    """`enough` says when there is so much that it leaves at once."""

    def __init__(self, enough: Callable[[], bool]) -> None:
        self._enough = enough
        self._last = 0.0
        self._waited_for = 0
        self._leave = asyncio.Event()

    def came(self) -> None:
        self._last = asyncio.get_running_loop().time()
        if self._enough():
            self._leave.set()

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Nothing is held back meanwhile."""
        self._waited_for += 1
        self._leave.set()
        try:
            yield
        finally:
            self._waited_for -= 1

    async def gathered(self) -> None:
        """Returns when what waits should leave."""
        now = asyncio.get_running_loop().time
        latest = now() + MOST_S
        if not (self._waited_for or self._enough()):
            self._leave.clear()
        while not self._leave.is_set() and (pause := min(self._last + QUIET_S, latest) - now()) > 0:
            try:
                async with asyncio.timeout(pause):
                    await self._leave.wait()
            except TimeoutError:
                continue
