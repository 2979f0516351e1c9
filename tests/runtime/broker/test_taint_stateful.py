"""A connection is used if and only if everyone whose code is in the kernel may use it, as the run's grant says: whoever ran, in whatever order
people come, sessions are handed over (with what is left, or with a new kernel), and grants change. Through the broker's real admission and socket.
"""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spin_envelope.digests import signed_digest
from spin_envelope.signing import sign, unverified
from spin_runtime.broker.api import BundleStored, Rejected, Run, RunEnd
from spin_runtime.broker.local import open_broker
from spin_runtime.broker.taint import Principal
from spinapis.envelope.v1 import attach_pb2, receipt_pb2, run_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.broker_socket import asked
from tests.fakes.control_plane import ORIGIN, Client, ControlPlane, use
from tests.fakes.echo_processor import Echo
from tests.runtime.broker.test_operations_refused import entry

TAINTED = reasons_pb2.ERROR_REASON_KERNEL_TAINTED
CONNECTIONS = (b"a" * 16, b"b" * 16)
# Two people, and what acts for one of them.
PEOPLE = (Principal("ann"), Principal("ben"), Principal("ben", ("api_key:1",)), Principal("cat"))
PICK = st.integers(0, 7)
# For each connection of a run: not at all, named, or named by a variable.
WAYS = st.tuples(*(st.sampled_from(["", "named", "at_use"]) for _ in CONNECTIONS))


@dataclass
class Running:
    run: Run | None = None
    # Who may use which connection, as its grant says.
    may: dict[bytes, frozenset[Principal]] = field(default_factory=dict)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = tempfile.TemporaryDirectory()
        self.plane, self.first = ControlPlane(), Client()
        plane, clock, echo = self.plane, self.plane.clock, Echo()
        self.broker: Any = open_broker(Path(self.home.name), plane.token.text, clock=clock, elapsed=clock.elapsed, processors=lambda _: echo)
        request = self.do(self.broker.pairing_start())
        self.do(self.broker.pairing_finish(plane.enrol(request), plane.root_documents))
        self.do(self.broker.accept_trust([], plane.trust_state()))
        self.seats = {person.user_id: self.attached(person.user_id) for person in PEOPLE}
        hello, handle = self.seats["ann"]
        entries = [entry(connection_id=one, name=f"the {one[:1].decode()}") for one in CONNECTIONS]
        assert isinstance(self.do(self.broker.open_sealed(plane.seal_bundle(plane.bundle(1, entries), hello), handle)), BundleStored)
        self.allowed = {one: {PEOPLE[0]} for one in CONNECTIONS}
        self.runs: list[Running] = []
        self.new_kernel("ann")

    def do(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def attached(self, user_id: str) -> tuple[attach_pb2.Hello, bytes]:
        client = Client(user_id=user_id, session_id=self.first.session_id, notebook_id=self.first.notebook_id)
        capability, challenge = self.plane.capability(client), self.plane.challenge(client)
        data, handle = self.do(self.broker.hello(capability, challenge, bytes(32), client.key.public, ORIGIN, [], b""))
        auth = attach_pb2.ClientAuth(hello_digest=signed_digest(data), origin=ORIGIN)
        return unverified(data, attach_pb2.Hello), self.do(self.broker.attach(handle, sign(auth, client.key))).handle

    def new_kernel(self, user_id: str) -> None:
        self.epoch = self.do(self.broker.kernel_started(self.seats[user_id][1], "python3")).kernel_epoch
        self.present: set[Principal] = set()

    # What people do

    @precondition(lambda self: len(self.runs) < 6)
    @rule(who=st.sampled_from(PEOPLE), ways=WAYS)
    def run(self, who: Principal, ways: tuple[str, ...]) -> None:
        hello, handle = self.seats[who.user_id]
        grant, running = self.granted(who, hello, ways), Running()
        running.may = {one: frozenset(self.allowed[one]) for one, way in zip(CONNECTIONS, ways, strict=True) if way == "at_use"}
        named = [one for one, way in zip(CONNECTIONS, ways, strict=True) if way == "named"]
        together = frozenset.intersection(*(frozenset(self.allowed[one]) for one in named)) if named else frozenset()
        running.may |= dict.fromkeys(named, together)
        answer = self.do(self.broker.open_sealed(self.plane.seal(self.plane.program(grant), hello), handle))
        if named and not self.present | {who} <= together:
            assert isinstance(answer, Rejected) and answer.reason == TAINTED
            return
        assert isinstance(answer, Run), answer
        # From its admission on, before it starts.
        self.present.add(who)
        self.do(self.broker.run_started(answer.nonce))
        running.run = answer
        self.runs.append(running)

    def granted(self, who: Principal, hello: attach_pb2.Hello, ways: tuple[str, ...]) -> run_pb2.RunGrant:
        """As an honest auth says it, who looks at everybody."""
        uses = []
        for one, way in zip(CONNECTIONS, ways, strict=True):
            if way:
                uses.append(use(one, "echo.say"))
                uses[-1].at_use = way == "at_use"
                uses[-1].able.extend(place for place, person in enumerate(PEOPLE) if way == "at_use" and person in self.allowed[one])
        named = [one for one, way in zip(CONNECTIONS, ways, strict=True) if way == "named"]
        principals = [said(person) for person in PEOPLE if named and all(person in self.allowed[one] for one in named)]
        client = Client(user_id=who.user_id, session_id=self.first.session_id, notebook_id=self.first.notebook_id)
        return self.plane.run_grant(
            client, hello, self.epoch, connections=uses, principals=principals, actor_chain=who.actor_chain, candidates=list(map(said, PEOPLE))
        )

    @rule(who=st.sampled_from(PEOPLE), connection=st.sampled_from(CONNECTIONS))
    def change_grants(self, who: Principal, connection: bytes) -> None:
        """What a grant said stays said, until its run ends."""
        self.allowed[connection] ^= {who}

    @precondition(lambda self: self.runs)
    @rule(pick=PICK)
    def end(self, pick: int) -> None:
        """Whoever's run ends, their code stays."""
        running = self.runs.pop(pick % len(self.runs))
        self.do(self.broker.run_ended(RunEnd(running.run.nonce, receipt_pb2.RUN_STATUS_OK, 0, bytes(32), False)))

    @rule(to=st.sampled_from(PEOPLE), keep=st.booleans())
    def hand_over(self, to: Principal, keep: bool) -> None:
        """The other one attaches; what is left in the kernel stays, or goes with it."""
        self.do(self.broker.detach(self.seats[to.user_id][1]))
        self.seats[to.user_id] = self.attached(to.user_id)
        if keep:
            return
        self.do(self.broker.kernel_ended(self.epoch, "restarted"))
        while self.runs:
            self.end(0)
        self.new_kernel(to.user_id)

    # What comes of it

    @invariant()
    def each_use_is_decided_by_everybody_who_is_there(self) -> None:
        for running in self.runs:
            for connection in CONNECTIONS:
                replies = self.do(asked(running.run.socket_path, running.run.ticket, "echo.say", {"q": 1}, connection_id=connection))
                if connection not in running.may:
                    assert replies[0].failure.reason == reasons_pb2.ERROR_REASON_OPERATION_DENIED
                elif self.present <= running.may[connection]:
                    assert replies[-1].WhichOneof("body") == "end", replies[-1]
                else:
                    assert replies[0].failure.reason == TAINTED

    @invariant()
    def the_broker_remembers_whose_code_it_is(self) -> None:
        assert self.broker._kernels.principals(self.epoch) == self.present

    def teardown(self) -> None:
        self.do(self.broker.close())
        self.loop.close()
        self.home.cleanup()


def said(person: Principal) -> run_pb2.Principal:
    return run_pb2.Principal(user_id=person.user_id, actor_chain=person.actor_chain)


Machine.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
TestTaint = Machine.TestCase
