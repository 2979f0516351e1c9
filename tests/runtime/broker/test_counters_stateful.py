"""What only rises, only rises: seq, epochs, trust and bundle versions, receipts; whatever the order of events, crashes included."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spin_envelope.digests import signed_digest
from spin_envelope.signing import sign, unverified
from spin_runtime.broker import receipts as receipts_module
from spin_runtime.broker.api import BrokerError, Rejected, Run, RunEnd
from spin_runtime.broker.local import open_broker
from spinapis.envelope.v1 import attach_pb2, receipt_pb2, run_pb2
from tests.fakes.control_plane import ORIGIN, Client, ControlPlane

SMALL = st.integers(1, 6)


class Machine(RuleBasedStateMachine):
    """A runtime with one client, against a model of a few integers."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = tempfile.TemporaryDirectory()
        self.plane, self.client = ControlPlane(), Client()
        self.compact_bytes, receipts_module.COMPACT_BYTES = receipts_module.COMPACT_BYTES, 2000
        self.open()
        request = self.do(self.broker.pairing_start())
        self.do(self.broker.pairing_finish(self.plane.enrol(request), self.plane.root_documents))
        self.trust, self.bundle, self.audited = 0, 0, 0
        self.chain: dict[int, bytes] = {}
        self.unfinished: dict[tuple[bytes, int, int], int] = {}
        self.accept_trust(1)
        self.begin_boot()

    def do(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def open(self) -> None:
        self.broker = open_broker(Path(self.home.name), self.plane.token.text, clock=self.plane.clock, elapsed=self.plane.clock.elapsed)

    def begin_boot(self) -> None:
        capability, challenge = self.plane.capability(self.client), self.plane.challenge(self.client)
        hello, handle = self.do(self.broker.hello(capability, challenge, bytes(32), self.client.key.public, ORIGIN, [], b""))
        auth = attach_pb2.ClientAuth(hello_digest=signed_digest(hello), origin=ORIGIN)
        self.handle = self.do(self.broker.attach(handle, sign(auth, self.client.key))).handle
        self.hello = unverified(hello, attach_pb2.Hello)
        self.epochs: dict[int, int] = {}
        self.last_epoch = 0
        self.open_runs: list[run_pb2.RunNonce] = []
        self.start_kernel()

    @rule()
    def start_kernel(self) -> None:
        live = self.do(self.broker.kernel_started(self.handle, "python3"))
        assert live.kernel_epoch == self.last_epoch + 1
        self.last_epoch = live.kernel_epoch
        self.epochs[live.kernel_epoch] = 0

    @precondition(lambda self: len(self.epochs) > 1)
    @rule()
    def end_kernel(self) -> None:
        epoch = min(self.epochs)
        del self.epochs[epoch]
        self.do(self.broker.kernel_ended(epoch, "stopped"))

    @rule(epoch=SMALL, seq=SMALL)
    def run(self, epoch: int, seq: int) -> None:
        nonce = run_pb2.RunNonce(boot_id=self.hello.boot_id, kernel_epoch=epoch, seq=seq)
        grant = self.plane.run_grant(self.client, self.hello, epoch, nonce=nonce)
        sealed = self.plane.seal(self.plane.program(grant), self.hello)
        answer = self.do(self.broker.open_sealed(sealed, self.handle))
        allowed = epoch in self.epochs and seq > self.epochs[epoch]
        assert isinstance(answer, Run if allowed else Rejected)
        if allowed:
            self.epochs[epoch] = seq
            self.do(self.broker.run_started(nonce))
            self.open_runs.append(nonce)
            self.unfinished[(nonce.boot_id, epoch, seq)] = 0

    @precondition(lambda self: self.open_runs)
    @rule()
    def progress(self) -> None:
        nonce = self.open_runs[0]
        self.unfinished[(nonce.boot_id, nonce.kernel_epoch, nonce.seq)] += 256
        frames = self.unfinished[(nonce.boot_id, nonce.kernel_epoch, nonce.seq)]
        self.do(self.broker.run_progress(nonce, frames, bytes([frames // 256 % 256]) * 32))

    @precondition(lambda self: self.open_runs)
    @rule()
    def end_run(self) -> None:
        nonce = self.open_runs.pop(0)
        del self.unfinished[(nonce.boot_id, nonce.kernel_epoch, nonce.seq)]
        self.do(self.broker.run_ended(RunEnd(nonce, receipt_pb2.RUN_STATUS_OK, 0, bytes(32), False)))

    @rule(version=st.integers(1, 12))
    def accept_trust(self, version: int) -> None:
        try:
            stored = self.do(self.broker.accept_trust([], self.plane.trust_state(version=version, revoked_key_ids=[bytes(32)])))
        except BrokerError:
            assert version <= self.trust
        else:
            assert version > self.trust or (version == self.trust and stored.trust_version == version)
            self.trust = version

    @rule(version=st.integers(1, 12))
    def accept_bundle(self, version: int) -> None:
        sealed = self.plane.seal_bundle(self.plane.bundle(version, prev_digest=self.bundle_digest()), self.hello)
        try:
            self.do(self.broker.open_sealed(sealed, self.handle))
        except BrokerError:
            assert version <= self.bundle
        else:
            assert version >= self.bundle
            self.bundle = version

    def bundle_digest(self) -> bytes:
        return self.broker._states.state.bundle_digest

    @rule(behind=st.integers(0, 3))
    def acknowledge(self, behind: int) -> None:
        """Audit has what clients carried, and acknowledges some of it."""
        if seqs := [seq for seq in self.chain if seq > self.audited]:
            seq = max(min(seqs), max(seqs) - behind)
            self.do(self.broker.acknowledge(self.plane.ack(seq, self.chain[seq])))
            self.audited = seq

    @rule()
    def restart(self) -> None:
        """Closing a broker writes nothing, so this is what a crash leaves, too."""
        self.do(self.broker.close())
        lost = dict(self.unfinished)
        self.unfinished.clear()
        before = max(self.chain)
        self.open()
        self.carry()
        ends = [unverified(self.chain[seq], receipt_pb2.Receipt) for seq in range(before + 2, max(self.chain) + 1)]
        assert {(end.nonce.boot_id, end.nonce.kernel_epoch, end.nonce.seq): end.frames for end in ends} == lost
        assert all((end.type, end.status) == (receipt_pb2.RECEIPT_TYPE_END, receipt_pb2.RUN_STATUS_LOST) for end in ends)
        self.begin_boot()

    @invariant()
    def carry(self) -> None:
        """Clients are handed exactly what audit has not acknowledged; it is one chain without gaps, and nothing in it ever changes."""
        carried = self.do(self.broker.receipts_after(0, 10_000))
        assert [seq for seq, _ in carried] == list(range(self.audited + 1, self.audited + 1 + len(carried)))
        for seq, data in carried:
            assert self.chain.setdefault(seq, data) == data
            receipt = unverified(data, receipt_pb2.Receipt)
            assert receipt.prev_digest == (signed_digest(self.chain[seq - 1]) if seq > 1 else bytes(32))

    def teardown(self) -> None:
        self.do(self.broker.close())
        self.loop.close()
        self.home.cleanup()
        receipts_module.COMPACT_BYTES = self.compact_bytes


Machine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
TestCounters = Machine.TestCase
