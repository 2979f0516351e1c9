"""Trust against a model: versions, grace, revocation, a clock that somebody turns, restarts; in whatever order."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spin_runtime.broker.api import BrokerError
from spin_runtime.broker.local import open_broker
from spinapis.envelope.v1 import trust_pb2
from tests.fakes.control_plane import HOUR_MS, MINUTE_MS, ControlPlane

DAY_MS = 24 * HOUR_MS
HOURS = st.integers(1, 40)


class Machine(RuleBasedStateMachine):
    """The model knows the true time; the runtime has its clock, what passes in a boot, and what it wrote down."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = tempfile.TemporaryDirectory()
        self.plane = ControlPlane()
        self.open()
        request = self.do(self.broker.pairing_start())
        self.do(self.broker.pairing_finish(self.plane.enrol(request), self.plane.root_documents))
        # The newest accepted state: version, how long it lasts, and how long it was surely held while the runtime was up.
        self.version, self.lasts_ms, self.held_ms = 0, 0, 0
        self.grace_ms, self.revoked = 0, False
        self.kept: list[bytes] = []

    def do(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def open(self) -> None:
        clock = self.plane.clock
        self.broker = open_broker(Path(self.home.name), self.plane.token.text, clock=clock, elapsed=clock.elapsed)

    def look(self) -> None:
        self.broker._watch.look()  # type: ignore[attr-defined]

    @rule(grace_h=st.integers(0, 72))
    def newer_state(self, grace_h: int) -> None:
        self.take(self.plane.trust_state(grace_ms=grace_h * HOUR_MS), grace_h * HOUR_MS)

    @rule(grace_h=st.integers(0, 72))
    def withhold(self, grace_h: int) -> None:
        self.kept.append(self.plane.trust_state(grace_ms=grace_h * HOUR_MS))

    @precondition(lambda self: self.kept)
    @rule()
    def replay(self) -> None:
        """One that was withheld: older versions never change anything, newer ones only while they are valid."""
        data = self.kept.pop()
        state = trust_pb2.TrustState.FromString(_payload(data))
        before = self.phase()
        try:
            self.do(self.broker.accept_trust([], data))
        except BrokerError:
            assert self.phase() == before
            return
        assert state.version > self.version and not self.revoked
        self.accepted(state.version, state.expires_at_ms - self.plane.clock(), state.grace_ms)

    def take(self, data: bytes, grace_ms: int) -> None:
        try:
            self.do(self.broker.accept_trust([], data))
        except BrokerError:
            assert self.revoked
            return
        assert not self.revoked
        self.accepted(self.plane.trust_version, DAY_MS, grace_ms)

    def accepted(self, version: int, lasts_ms: int, grace_ms: int) -> None:
        self.version, self.lasts_ms, self.grace_ms, self.held_ms = version, lasts_ms, grace_ms, 0

    @precondition(lambda self: self.version)
    @rule(chance=st.integers(0, 9))
    def revoke(self, chance: int) -> None:
        if chance == 0 and not self.revoked:
            self.do(self.broker.accept_trust([], self.plane.trust_state(runtime_status=trust_pb2.RUNTIME_STATUS_REVOKED, grace_ms=72 * HOUR_MS)))
            self.version, self.revoked = self.plane.trust_version, True

    @rule(hours=HOURS)
    def time_passes(self, hours: int) -> None:
        self.plane.clock.pass_ms(hours * HOUR_MS)
        self.held_ms += hours * HOUR_MS
        self.look()

    @rule(hours=HOURS)
    def clock_set_back(self, hours: int) -> None:
        self.plane.clock.now_ms -= hours * HOUR_MS
        self.look()

    @rule(hours=HOURS)
    def clock_set_ahead(self, hours: int) -> None:
        self.plane.clock.now_ms += hours * HOUR_MS
        self.look()

    @rule(minutes=st.integers(0, 600))
    def restart(self, minutes: int) -> None:
        self.do(self.broker.close())
        self.plane.clock.pass_ms(minutes * MINUTE_MS)
        self.open()

    def phase(self) -> int:
        return int(self.do(self.broker.status()).trust_phase)

    @invariant()
    def never_longer_than_it_was_given(self) -> None:
        phase = self.phase()
        if self.revoked:
            assert phase == trust_pb2.TRUST_PHASE_REVOKED
        elif not self.version:
            assert phase == trust_pb2.TRUST_PHASE_UNSPECIFIED
        else:
            assert phase != trust_pb2.TRUST_PHASE_REVOKED
            # However the clock was turned: time that surely passed is not given twice. A minute may be lost with each restart.
            if self.held_ms >= self.lasts_ms + MINUTE_MS * 10:
                assert phase != trust_pb2.TRUST_PHASE_FRESH
            if self.held_ms >= self.lasts_ms + self.grace_ms + MINUTE_MS * 10:
                assert phase == trust_pb2.TRUST_PHASE_EXPIRED
            if self.grace_ms == 0:
                assert phase != trust_pb2.TRUST_PHASE_GRACE

    @invariant()
    def a_wait_for_another_phase_ends(self) -> None:
        self.look()
        other = trust_pb2.TRUST_PHASE_FRESH if self.phase() != trust_pb2.TRUST_PHASE_FRESH else trust_pb2.TRUST_PHASE_REVOKED
        assert self.do(asyncio.wait_for(self.broker.wait_trust(other), 5)).trust_phase == self.phase()

    def teardown(self) -> None:
        self.do(self.broker.close())
        self.loop.close()
        self.home.cleanup()


def _payload(data: bytes) -> bytes:
    from spinapis.envelope.v1 import signed_pb2

    return signed_pb2.SignedMessage.FromString(data).payload


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
TestTrust = Machine.TestCase
