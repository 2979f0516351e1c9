"""Values of secret managers, in memory and for their lease alone.

- A value is kept for `keep_s` at most, or for its lease where the manager made it for this reader (a lease with an id). It goes when its time
  is over, whether or not anybody asks. Of one place one value is read at a time; who asks meanwhile waits for that answer.
- A lease with an id is renewed at two thirds while it is in use, and given back when it is not kept any more and nobody holds it.
- `forget` drops all; what was on its way is thrown away. `doubt` drops one, so that it is read anew: not more often than each ten seconds, however
  often a remote system refuses it.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf

import structlog

from spin_runtime.broker.known import KnownSecrets
from spin_runtime.broker.managers.interface import Failure, Manager, ManagerFailed, Secret
from spin_runtime.broker.managers.references import Place, texts_in

log = structlog.get_logger("spin.managers")
MAXIMUM_ENTRIES = 256
# An operation that starts now should not lose its credential at once.
SERVED, RENEWED = 0.9, 2 / 3
SLEEP_S = 10.0
DOUBTED_EACH_S = 10.0
GOODBYE_S = 3.0


@dataclass(frozen=True)
class Bounds:
    """Of one manager."""

    keep_s: float = 60.0
    timeout_s: float = 10.0


@dataclass(eq=False)
class Held:
    place: Place
    secret: Secret
    until: float
    renew_at: float
    holders: int = 0
    # Since it was read or renewed.
    used: bool = True
    kept: bool = True

    @property
    def leased(self) -> bool:
        return bool(self.secret.lease_id)

    def due(self) -> float:
        return min(self.until, self.renew_at) if self.wanted else self.until

    @property
    def wanted(self) -> bool:
        return self.used or self.holders > 0


def times(secret: Secret, asked_at: float, keep_s: float) -> tuple[float, float]:
    """Until when it is served, and when its lease is renewed."""
    if not secret.lease_id:
        return asked_at + min(secret.lease_s or keep_s, keep_s), inf
    return asked_at + secret.lease_s * SERVED, asked_at + secret.lease_s * RENEWED if secret.renewable else inf


class Leases:
    def __init__(
        self,
        managers: Mapping[str, Manager],
        bounds: Mapping[str, Bounds],
        clock: Callable[[], float] = time.monotonic,
        known: KnownSecrets | None = None,
    ) -> None:
        self._managers, self._bounds, self._clock, self._known = managers, bounds, clock, known or KnownSecrets()
        self._held: OrderedDict[Place, Held] = OrderedDict()
        self._flights: dict[Place, asyncio.Task[Held]] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._stirred = asyncio.Event()
        self._doubted: dict[Place, float] = {}

    def __len__(self) -> int:
        return len(self._held)

    @asynccontextmanager
    async def holding(self, place: Place) -> AsyncIterator[Secret]:
        """The secret at a place; its lease lasts as long as it is held, where the manager lets it. Raises ManagerFailed."""
        held = await self._get(place)
        held.holders, held.used = held.holders + 1, True
        self._stirred.set()
        try:
            yield held.secret
        finally:
            held.holders -= 1
            if not held.kept and not held.holders:
                self._give_back(held)

    def doubt(self, place: Place) -> None:
        held, now = self._held.get(place), self._clock()
        self._doubted = {one: at for one, at in self._doubted.items() if now < at + DOUBTED_EACH_S}
        if held is not None and place not in self._doubted:
            self._doubted[place] = now
            self._drop(held)

    def forget(self, keep: Callable[[Place], bool] = lambda _: False) -> None:
        """Drops what is not to be kept."""
        for place in [place for place in self._flights if not keep(place)]:
            self._flights.pop(place).cancel()
        for held in [held for held in self._held.values() if not keep(held.place)]:
            self._drop(held)

    async def close(self) -> None:
        self.forget()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._goodbyes:
            await asyncio.wait(self._goodbyes, timeout=GOODBYE_S)
        for manager in self._managers.values():
            with suppress(TimeoutError, ManagerFailed):
                await asyncio.wait_for(manager.close(), GOODBYE_S)

    async def _get(self, place: Place) -> Held:
        held = self._held.get(place)
        if held is not None and self._clock() < held.until:
            self._held.move_to_end(place)
            return held
        flight = self._flights.get(place)
        if flight is None:
            flight = self._flights[place] = asyncio.create_task(self._read(place))
            flight.add_done_callback(lambda done: self._landed(place, done))
        try:
            return await asyncio.shield(flight)
        except asyncio.CancelledError:
            if flight.cancelled():
                raise ManagerFailed(Failure.FORGOTTEN) from None
            raise

    def _landed(self, place: Place, flight: "asyncio.Task[Held]") -> None:
        if self._flights.get(place) is flight:
            del self._flights[place]
        if not flight.cancelled():
            flight.exception()  # who waited got it; where nobody waits any more it is no fault

    async def _read(self, place: Place) -> Held:
        bounds, asked_at = self._bounds[place.manager], self._clock()
        try:
            async with asyncio.timeout(bounds.timeout_s):
                secret = await self._managers[place.manager].read(place.path, place.version)
        except TimeoutError:
            raise ManagerFailed(Failure.SLOW) from None
        held = Held(place, secret, *times(secret, asked_at, bounds.keep_s))
        if (before := self._held.pop(place, None)) is not None:
            self._drop(before)
        self._held[place] = held
        self._known.hold(held, texts_in(secret))
        while len(self._held) > MAXIMUM_ENTRIES:
            self._drop(next(iter(self._held.values())))
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep())
        return held

    def _drop(self, held: Held) -> None:
        if self._held.get(held.place) is held:
            del self._held[held.place]
        held.kept = False
        self._known.forget(held)
        if not held.holders:
            self._give_back(held)

    def _give_back(self, held: Held) -> None:
        if held.leased:
            task = asyncio.create_task(self._goodbye(held))
            self._goodbyes.add(task)
            task.add_done_callback(self._goodbyes.discard)

    async def _goodbye(self, held: Held) -> None:
        try:
            async with asyncio.timeout(self._bounds[held.place.manager].timeout_s):
                await self._managers[held.place.manager].give_back(held.secret.lease_id)
        except (ManagerFailed, TimeoutError):
            log.warning("lease_not_given_back", manager=held.place.manager)

    async def _keep(self) -> None:
        while self._held:
            self._stirred.clear()
            wait = min(max(min(held.due() for held in self._held.values()) - self._clock(), 0.01), SLEEP_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), wait)
            await self.keep_up()

    async def keep_up(self) -> None:
        """Drops what is over and renews what is in use."""
        for held in list(self._held.values()):
            if self._clock() >= held.until:
                self._drop(held)
            elif self._clock() >= held.renew_at and held.wanted:
                await self._renew(held)
        for name in {held.place.manager for held in self._held.values() if held.leased}:
            with suppress(ManagerFailed, TimeoutError):
                await asyncio.wait_for(self._managers[name].keep_identity(), self._bounds[name].timeout_s)

    async def _renew(self, held: Held) -> None:
        asked_at, bounds = self._clock(), self._bounds[held.place.manager]
        # Whatever comes of it, it is not asked again at once.
        held.renew_at, held.used = inf, False
        try:
            async with asyncio.timeout(bounds.timeout_s):
                lasts = await self._managers[held.place.manager].renew(held.secret.lease_id)
        except (ManagerFailed, TimeoutError):
            log.warning("lease_not_renewed", manager=held.place.manager)
            return
        held.until, held.renew_at = asked_at + lasts * SERVED, asked_at + lasts * RENEWED
