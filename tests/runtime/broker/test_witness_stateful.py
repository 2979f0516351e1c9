"""What a runtime holds of the log never goes back and never forks, whatever it is shown, in whatever order, across restarts and rotations."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey
from spin_envelope.note import Checkpoint, open_note, origin_of, unverified_checkpoint
from spin_envelope.signing import sign, unverified
from spin_runtime.broker.api import BrokerError, LogProof
from spin_runtime.broker.local import open_broker
from spinapis.envelope.v1 import attach_pb2, trust_pb2
from tests.fakes.control_plane import ORIGIN, Client, ControlPlane
from tests.fakes.merkle_log import MerkleLog

SIZES = st.integers(0, 12)
FORK_AT = 5
HONEST = MerkleLog.of(12)
# Equal at first, so that some of its proofs are good ones.
FORKED = MerkleLog([*HONEST.leaves[:FORK_AT], *MerkleLog.of(12, "other").leaves[FORK_AT:]])
LOGS = st.sampled_from([HONEST, FORKED])


class Machine(RuleBasedStateMachine):
    """Anyone may show anything that audit signed, for audit may sign anything."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = tempfile.TemporaryDirectory()
        self.plane, self.client = ControlPlane(), Client()
        self.open()
        request = self.do(self.broker.pairing_start())
        self.do(self.broker.pairing_finish(self.plane.enrol(request), self.plane.root_documents))
        self.do(self.broker.accept_trust([], self.plane.trust_state()))
        # What was held, step by step, and the largest size that an accepted trust state showed last.
        self.history: list[Checkpoint] = []
        self.shown = 0

    def do(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def open(self) -> None:
        self.broker = open_broker(Path(self.home.name), self.plane.token.text, clock=self.plane.clock, elapsed=self.plane.clock.elapsed)

    def note(self, log: MerkleLog, size: int) -> bytes:
        return log.note(self.plane.workspace_id, size, self.plane.keys[trust_pb2.ROLE_AUDIT])

    def hello(self) -> tuple[attach_pb2.Hello, int]:
        """And what the log owes to its client."""
        capability, challenge = self.plane.capability(self.client), self.plane.challenge(self.client)
        hello, handle = self.do(self.broker.hello(capability, challenge, bytes(32), self.client.key.public, ORIGIN, [], b""))
        auth = attach_pb2.ClientAuth(hello_digest=signed_digest(hello), origin=ORIGIN)
        self.do(self.broker.attach(handle, sign(auth, self.client.key)))
        return unverified(hello, attach_pb2.Hello), self.broker._clients.attached(handle, self.plane.clock()).log_size

    @rule(log=LOGS, size=SIZES)
    def show(self, log: MerkleLog, size: int) -> None:
        note = self.note(log, size)
        try:
            self.do(self.broker.accept_trust([], self.plane.trust_state(checkpoint=note)))
        except BrokerError:
            return
        self.shown = size
        if self.history:
            assert size > self.history[-1].size or log.root(size) == self.history[-1].root_hash

    @rule(log=LOGS, old=SIZES, new=SIZES, claimed=st.none() | SIZES)
    def prove(self, log: MerkleLog, old: int, new: int, claimed: int | None) -> None:
        hashes = log.proof(old, new) if old <= new else ()
        proof = LogProof(old if claimed is None else claimed, self.note(log, new), hashes)
        try:
            stored = self.do(self.broker.accept_trust([], b"", proof))
        except BrokerError:
            return
        assert stored.log_size >= (self.history[-1].size if self.history else 0)

    @rule(log=LOGS, new=SIZES)
    def prove_rightly(self, log: MerkleLog, new: int) -> None:
        """From what is held, as an honest client does; it succeeds exactly where the log really continues it."""
        if not self.history or new < self.history[-1].size:
            return
        held = self.history[-1]
        proof = LogProof(held.size, self.note(log, new), log.proof(held.size, new))
        continues = log.root(held.size) == held.root_hash
        try:
            stored = self.do(self.broker.accept_trust([], b"", proof))
        except BrokerError:
            assert not continues
        else:
            assert continues and stored.log_size == new

    @rule()
    def rotate(self) -> None:
        self.do(self.broker.accept_trust([self.plane.rotate(audit=SigningKey.generate())], b""))

    @rule()
    def restart(self) -> None:
        self.do(self.broker.close())
        self.open()

    @invariant()
    def never_back_and_never_forked(self) -> None:
        hello, owed = self.hello()
        assert owed == self.shown
        if not hello.checkpoint:
            assert not self.history
            return
        held = unverified_checkpoint(hello.checkpoint, origin_of(self.plane.workspace_id))
        if not self.history or held != self.history[-1]:
            open_note(hello.checkpoint, [self.plane.keys[trust_pb2.ROLE_AUDIT].verify_key], held.origin)
            self.history.append(held)
        logs = [log for log in (HONEST, FORKED) if all(log.root(seen.size) == seen.root_hash for seen in self.history)]
        assert logs, "all that was ever held is of one log"
        assert [seen.size for seen in self.history] == sorted(seen.size for seen in self.history)

    def teardown(self) -> None:
        self.do(self.broker.close())
        self.loop.close()
        self.home.cleanup()


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
TestWitness = Machine.TestCase
