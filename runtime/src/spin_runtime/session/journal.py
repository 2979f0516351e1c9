"""A session's stream: serialized RuntimeFrames at positions first, first + 1, … without gaps.

The newest frames are in memory, older ones in a spill file. Readers are cursors that ask for what follows a position: a slow one costs
nothing but its own reading. What is said on the way to something better (queued, running) is held back for a moment, so that a short cell
wakes its readers once. When the disk cannot follow, `on_pressure(True)` asks that the source pause.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from cryptography.exceptions import InvalidTag

from spin_runtime.session.encoding import with_position
from spin_runtime.session.spill import SpillFile

RING_BYTES = 4 << 20
SPILL_BYTES = 1 << 20
HOLD_S = 0.01
PRESSURE_BYTES = RING_BYTES + (16 << 20)


class PositionUnknown(Exception):
    """The position was never written, or is no longer kept."""


class Journal:
    def __init__(self, open_spill: Callable[[int], SpillFile], first: int = 1, max_spill_bytes: int = 4 << 30) -> None:
        self._open_spill, self._max_spill_bytes = open_spill, max_spill_bytes
        self._frames: deque[bytes] = deque()
        self._memory_first = first
        self._bytes = 0
        self._spills: deque[SpillFile] = deque()
        self._spilling: asyncio.Task[None] | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._held: asyncio.TimerHandle | None = None
        self._pressed = False
        self._closed = False
        self.on_pressure: Callable[[bool], None] = lambda _: None
        self.failure: BaseException | None = None

    @property
    def first(self) -> int:
        """The oldest position that can be read."""
        return self._spills[0].first if self._spills and self._spills[0].last >= self._spills[0].first else self._memory_first

    @property
    def last(self) -> int:
        """The newest position; first - 1 when nothing was written."""
        return self._memory_first + len(self._frames) - 1

    @property
    def memory_bytes(self) -> int:
        return self._bytes

    def append(self, pieces: Sequence[bytes], *, held: bool = False) -> int:
        """Writes a frame, given without its position, and returns that. Readers that wait hear of a held one with the next, or in a moment."""
        position = self.last + 1
        frame = with_position(position, pieces)
        self._frames.append(frame)
        self._bytes += len(frame)
        if self._bytes > RING_BYTES + SPILL_BYTES and self._spilling is None and not self._closed:
            self._spilling = asyncio.create_task(self._spill())
        if self._bytes > PRESSURE_BYTES and not self._pressed:
            self._pressed = True
            self.on_pressure(True)
        if not held:
            self._wake()
        elif self._waiters and self._held is None:
            self._held = asyncio.get_running_loop().call_later(HOLD_S, self._wake)
        return position

    async def read(self, after: int, max_bytes: int) -> list[bytes]:
        """Frames after the position, at least one when there is one. Raises PositionUnknown."""
        if after > self.last or after < self.first - 1:
            raise PositionUnknown
        if after + 1 >= self._memory_first:
            return self._from_memory(after + 1, max_bytes)
        spill = next(spill for spill in self._spills if spill.first <= after + 1 <= spill.last)
        try:
            return await asyncio.to_thread(spill.read, after + 1, max_bytes)
        except (OSError, InvalidTag):
            # The file was closed, being the oldest or its session's end, while it was read.
            raise PositionUnknown from None

    async def wait(self, after: int) -> None:
        """Returns when something follows the position, or the journal is closed."""
        while self.last <= after and not self._closed:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    async def close(self) -> None:
        """Forgets everything, on disk too."""
        self._closed = True
        self._wake()
        if self._spilling is not None:
            await asyncio.wait((self._spilling,))
        for spill in self._spills:
            spill.close()
        self._spills.clear()
        self._memory_first += len(self._frames)
        self._frames.clear()
        self._bytes = 0

    @property
    def closed(self) -> bool:
        return self._closed

    def _from_memory(self, position: int, max_bytes: int) -> list[bytes]:
        taken: list[bytes] = []
        size = 0
        for frame in islice(self._frames, position - self._memory_first, None):
            if taken and size + len(frame) > max_bytes:
                break
            taken.append(frame)
            size += len(frame)
        return taken

    async def _spill(self) -> None:
        try:
            while self._bytes > RING_BYTES:
                await self._spill_some()
        except OSError as error:
            # The disk is full or gone: the oldest frames are given up rather than the session.
            self.failure = error
            self._drop_to_ring()
        finally:
            self._spilling = None
            self._relieve()

    async def _spill_some(self) -> None:
        chunk: list[bytes] = []
        size = 0
        for frame in self._frames:
            if size >= SPILL_BYTES or self._bytes - size <= RING_BYTES:
                break
            chunk.append(frame)
            size += len(frame)
        await asyncio.to_thread(self._spill_file().append, chunk)
        for _ in chunk:
            self._frames.popleft()
        self._memory_first += len(chunk)
        self._bytes -= size
        self._relieve()

    def _spill_file(self) -> SpillFile:
        """The file to write to; a new one when the last is a quarter of what may be kept, so that the oldest can go."""
        if not self._spills or self._spills[-1].size > self._max_spill_bytes // 4:
            self._spills.append(self._open_spill(self._memory_first))
        while len(self._spills) > 1 and sum(spill.size for spill in self._spills) > self._max_spill_bytes:
            self._spills.popleft().close()
        return self._spills[-1]

    def _drop_to_ring(self) -> None:
        for spill in self._spills:
            spill.close()
        self._spills.clear()
        while self._bytes > RING_BYTES:
            self._bytes -= len(self._frames.popleft())
            self._memory_first += 1

    def _relieve(self) -> None:
        if self._pressed and self._bytes < RING_BYTES + SPILL_BYTES * 4:
            self._pressed = False
            self.on_pressure(False)

    def _wake(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
