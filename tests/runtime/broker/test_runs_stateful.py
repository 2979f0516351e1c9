"""Every run that was admitted ends once, whatever the server does or forgets: in any order of admissions, starts, ends, kernels' ends, passing
time, lost trust and crashes. While it is open and its kernel lives it may use what it was granted; before and afterwards it uses nothing.
"""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spin_envelope.digests import signed_digest
from spin_envelope.signing import sign, unverified
from spin_runtime.broker.api import BrokerError, Run, RunEnd
from spin_runtime.broker.local import open_broker
from spin_runtime.broker.runs import GRACE_MS
from spinapis.envelope.v1 import attach_pb2, receipt_pb2, run_pb2
from tests.fakes.control_plane import HOUR_MS, MINUTE_MS, ORIGIN, Client, ControlPlane

OK, LOST, ABORTED = receipt_pb2.RUN_STATUS_OK, receipt_pb2.RUN_STATUS_LOST, receipt_pb2.RUN_STATUS_ABORTED
# What a program's validity adds to the grace of one that never starts.
VALID_MS = 5 * MINUTE_MS
PICK = st.integers(0, 7)


@dataclass
class Known:
    """What the model knows of a run."""

    run: Run
    admitted_ms: int
    wall_ms: int
    started_ms: int | None = None
    bereft_ms: int | None = None


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = tempfile.TemporaryDirectory()
        self.plane, self.client = ControlPlane(), Client()
        self.clock = self.plane.clock
        self.ends: dict[tuple[bytes, int, int], int] = {}
        self.ended: set[tuple[bytes, int, int]] = set()
        self.read_to = 0
        self.open()
        request = self.do(self.broker.pairing_start())
        self.do(self.broker.pairing_finish(self.plane.enrol(request), self.plane.root_documents))
        self.begin_boot()

    def do(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def open(self) -> None:
        self.broker: Any = open_broker(Path(self.home.name), self.plane.token.text, clock=self.clock, elapsed=self.clock.elapsed)

    def begin_boot(self) -> None:
        self.trust()
        self.runs: list[Known] = []
        self.kernels: list[int] = []
        self.quiet: dict[int, int] = {}
        self.attach()
        self.start_kernel()

    def attach(self) -> None:
        capability, challenge = self.plane.capability(self.client), self.plane.challenge(self.client)
        hello, handle = self.do(self.broker.hello(capability, challenge, bytes(32), self.client.key.public, ORIGIN, [], b""))
        auth = attach_pb2.ClientAuth(hello_digest=signed_digest(hello), origin=ORIGIN)
        self.handle = self.do(self.broker.attach(handle, sign(auth, self.client.key))).handle
        self.hello = unverified(hello, attach_pb2.Hello)

    def trust(self) -> None:
        self.trusted_until = self.clock.now_ms + 24 * HOUR_MS
        self.do(self.broker.accept_trust([], self.plane.trust_state()))

    @property
    def now(self) -> int:
        return self.clock.passed_ms

    @precondition(lambda self: len(self.kernels) < 3)
    @rule()
    def start_kernel(self) -> None:
        self.attach()
        self.kernels.append(self.do(self.broker.kernel_started(self.handle, "python3")).kernel_epoch)

    @precondition(lambda self: len(self.runs) < 8)
    @rule(pick=PICK, wall_ms=st.sampled_from([0, MINUTE_MS, HOUR_MS]), heard=st.booleans())
    def admit(self, pick: int, wall_ms: int, heard: bool) -> None:
        """The client may be gone before the answer comes: the server then never hears of its run."""
        if not self.kernels:
            return
        self.attach()
        epoch = self.kernels[pick % len(self.kernels)]
        grant = self.plane.run_grant(self.client, self.hello, epoch)
        sealed = self.plane.seal(self.plane.program(grant, limits=run_pb2.Limits(wall_ms=wall_ms)), self.hello)
        run = self.do(self.broker.open_sealed(sealed, self.handle))
        assert isinstance(run, Run)
        if not heard:
            self.do(self.broker.detach(self.handle))
        self.runs.append(Known(run, self.now, wall_ms))

    @precondition(lambda self: self.runs)
    @rule(pick=PICK)
    def start(self, pick: int) -> None:
        known = self.runs[pick % len(self.runs)]
        if known.started_ms is None and known.bereft_ms is None:
            self.do(self.broker.run_started(known.run.nonce))
            known.started_ms = self.now

    @precondition(lambda self: self.runs)
    @rule(pick=PICK)
    def end(self, pick: int) -> None:
        known = self.runs.pop(pick % len(self.runs))
        self.do(self.broker.run_ended(RunEnd(known.run.nonce, OK, 0, bytes(32), False)))
        self.gone(known, OK)

    @precondition(lambda self: self.kernels)
    @rule(pick=PICK)
    def end_kernel(self, pick: int) -> None:
        epoch = self.kernels.pop(pick % len(self.kernels))
        self.do(self.broker.kernel_ended(epoch, "stopped"))
        self.bereave(epoch)

    @rule(passed_ms=st.sampled_from([1000, MINUTE_MS, GRACE_MS, VALID_MS, HOUR_MS]), renewed=st.booleans())
    def pass_time(self, passed_ms: int, renewed: bool) -> None:
        self.clock.pass_ms(passed_ms)
        if renewed:
            self.trust()
        self.keep_up()

    @rule()
    def lose_trust(self) -> None:
        self.clock.pass_ms(max(self.trusted_until - self.clock.now_ms, 0))
        self.keep_up()
        self.trust()

    @rule()
    def restart(self) -> None:
        """What a crash leaves, too: what had started is lost, what had not is nowhere on disk."""
        self.do(self.broker.close())
        self.open()
        for known in self.runs:
            if known.started_ms is not None:
                self.gone(known, LOST)
        self.begin_boot()

    def bereave(self, epoch: int | None = None) -> None:
        for known in self.runs:
            if epoch in (None, known.run.nonce.kernel_epoch) and known.bereft_ms is None:
                known.bereft_ms = self.now

    def keep_up(self) -> None:
        if self.clock.now_ms >= self.trusted_until:
            self.bereave()
        forgotten = [known for known in self.runs if self.over(known)]
        self.do(self.broker._upkeep.once())
        for known in forgotten:
            self.runs.remove(known)
            self.gone(known, ABORTED if known.started_ms is None else LOST)

    def over(self, known: Known) -> bool:
        epoch = known.run.nonce.kernel_epoch
        if known.bereft_ms is not None:
            return self.now >= known.bereft_ms + GRACE_MS
        if known.started_ms is not None:
            return bool(known.wall_ms) and self.now >= known.started_ms + known.wall_ms + GRACE_MS
        busy = any(other.started_ms is not None and other.run.nonce.kernel_epoch == epoch for other in self.runs)
        return not busy and self.now >= max(known.admitted_ms + VALID_MS, self.quiet.get(epoch, 0)) + GRACE_MS

    def gone(self, known: Known, status: int) -> None:
        nonce = known.run.nonce
        self.ends[(nonce.boot_id, nonce.kernel_epoch, nonce.seq)] = status
        if known.started_ms is not None and known.bereft_ms is None:
            self.quiet[nonce.kernel_epoch] = self.now

    @invariant()
    def each_ended_once_and_as_the_model_says(self) -> None:
        carried = self.do(self.broker.receipts_after(self.read_to, 10_000))
        for seq, data in carried:
            receipt, self.read_to = unverified(data, receipt_pb2.Receipt), seq
            if receipt.type == receipt_pb2.RECEIPT_TYPE_END:
                key = receipt.nonce.boot_id, receipt.nonce.kernel_epoch, receipt.nonce.seq
                assert key not in self.ended
                assert receipt.status == self.ends[key]
                assert receipt.reason or receipt.status == OK or receipt.nonce.boot_id != self.hello.boot_id
                self.ended.add(key)
        assert self.ended == set(self.ends)

    @invariant()
    def a_ticket_counts_from_start_to_end_and_no_longer_than_its_kernel(self) -> None:
        for known in self.runs:
            found = self.broker._tickets.present(known.run.ticket, known.run.nonce.kernel_epoch)
            assert (found is not None) == (known.started_ms is not None and known.bereft_ms is None)
        assert len(self.broker._runs) == len(self.broker._tickets._tickets) == len(self.runs)

    def teardown(self) -> None:
        self.do(self.broker.close())
        self.loop.close()
        self.home.cleanup()


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
TestRuns = Machine.TestCase


async def test_a_server_that_comes_back_to_a_run_that_was_ended_hears_so(runtime, seat) -> None:
    run = await seat.run()
    await runtime.broker.kernel_ended(seat.kernel.kernel_epoch, "stopped")
    runtime.plane.clock.pass_ms(GRACE_MS)
    await runtime.broker._upkeep.once()
    end = (await runtime.receipts())[-1]
    assert (end.type, end.status, end.nonce) == (receipt_pb2.RECEIPT_TYPE_END, LOST, run.nonce)
    assert "never said how" in end.reason
    with pytest.raises(BrokerError, match="is not open"):
        await runtime.broker.run_ended(RunEnd(run.nonce, OK, 0, bytes(32), False))


async def test_an_honest_server_that_ends_a_run_after_its_kernel_is_believed(runtime, seat) -> None:
    run = await seat.run()
    await runtime.broker.kernel_ended(seat.kernel.kernel_epoch, "stopped")
    await runtime.broker.run_ended(RunEnd(run.nonce, receipt_pb2.RUN_STATUS_INTERRUPTED, 3, b"d" * 32, False))
    end = (await runtime.receipts())[-1]
    assert (end.status, end.frames, end.output_digest) == (receipt_pb2.RUN_STATUS_INTERRUPTED, 3, b"d" * 32)
