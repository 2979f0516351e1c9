"""Tells how long trust lasts: to the runtime's log when that changes, to who waits, and to the disk.

What the disk knows of the time is a minute old at most, so a restart wins no more than that.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from spin_runtime.broker.refusals import log
from spin_runtime.broker.state import StateStore
from spin_runtime.broker.trust import Trust, phase_of, runs_until_ms
from spin_runtime.broker.trust_clock import TrustClock
from spinapis.envelope.v1 import trust_pb2

WARN_MS = 3600 * 1000
STORED_EACH_MS = 60 * 1000
GO_ON = "attach anyone to one of its sessions, with `spinctl` or in the page: every attachment brings a newer trust state"
PAIR_ANEW = (
    "this runtime runs nothing any more: its credentials are wiped. To use it again, stop it, put var/broker in its SPIN_HOME aside, add it to the "
    "workspace anew (in the page, or with `spinctl runtime add`) and start it with the new SPIN_TOKEN"
)

Phase: TypeAlias = trust_pb2.TrustPhase.ValueType
FRESH, GRACE = trust_pb2.TRUST_PHASE_FRESH, trust_pb2.TRUST_PHASE_GRACE
EXPIRED, REVOKED = trust_pb2.TRUST_PHASE_EXPIRED, trust_pb2.TRUST_PHASE_REVOKED


class TrustWatch:
    def __init__(self, clock: TrustClock, states: StateStore, trust: Callable[[], Trust | None]) -> None:
        self._clock, self._states, self._trust = clock, states, trust
        self._told: tuple[Phase, bool] = trust_pb2.TRUST_PHASE_UNSPECIFIED, False
        self._news = asyncio.Event()

    @property
    def phase(self) -> Phase:
        trust = self._trust()
        return trust_pb2.TRUST_PHASE_UNSPECIFIED if trust is None else phase_of(trust, self._clock.now())

    async def changed(self, known: Phase) -> None:
        """Returns when the phase is another one."""
        while self.phase == known:
            news = self._news
            await news.wait()

    def look(self) -> None:
        """Says what has changed since the last look; keeps the time."""
        trust = self._trust()
        if trust is None:
            return
        self._keep_time()
        soon = bool(trust.state_data) and self._clock.now() >= trust.state.expires_at_ms - WARN_MS
        told = self.phase, soon
        if told == self._told:
            return
        before, self._told = self._told[0], told
        _say(told[0], soon, before, trust)
        if told[0] != before:
            self._news.set()
            self._news = asyncio.Event()

    def until_next_ms(self) -> int | None:
        """How long until the phase changes, or a warning is due; None when nothing is in sight."""
        trust, now = self._trust(), self._clock.now()
        if trust is None or not trust.state_data:
            return None
        expires = trust.state.expires_at_ms
        ahead = [at - now for at in (expires - WARN_MS, expires, runs_until_ms(trust)) if at > now]
        return min(ahead, default=None)

    def _keep_time(self) -> None:
        seen = self._clock.seen_ms
        if seen - self._states.state.trust_seen_ms >= STORED_EACH_MS:
            try:
                self._states.change(trust_seen_ms=seen)
            except OSError as error:
                log.error("time_not_stored", error=error.strerror)


def _say(phase: Phase, soon: bool, before: Phase, trust: Trust) -> None:
    expires, until = moment(trust.state.expires_at_ms), moment(runs_until_ms(trust))
    if phase == REVOKED:
        log.error("runtime_revoked", text=PAIR_ANEW)
    elif phase == EXPIRED:
        log.error("trust_expired", expired=until, text=f"cells are interrupted and nothing runs until a newer trust state comes: {GO_ON}")
    elif phase == GRACE:
        log.warning("trust_in_grace", expired=expires, runs_until=until, text=f"the workspace's policy lets cells run until then: {GO_ON}")
    elif phase == FRESH and soon:
        log.warning("trust_expires_soon", expires=expires, runs_until=until, text=GO_ON)
    elif phase == FRESH and before != FRESH:
        log.info("trusted", until=expires)


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
