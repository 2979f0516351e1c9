"""The session's rules hold for any order of events, whatever kernels, people and clocks do."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spin_runtime.broker.api import Attachment, Run
from spin_runtime.session import model as m
from spin_runtime.session.decide import decide, next_tick_ms
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2 as f

OK, ERROR = receipt_pb2.RUN_STATUS_OK, receipt_pb2.RUN_STATUS_ERROR
INTERRUPTED, ABORTED, LIMIT = receipt_pb2.RUN_STATUS_INTERRUPTED, receipt_pb2.RUN_STATUS_ABORTED, receipt_pb2.RUN_STATUS_LIMIT
SOMEBODY = Attachment(b"h" * 16, b"s" * 16, frozenset(), 0)
RULES = m.Rules(queue=4, wall_ms=10_000, grace_ms=1_000, idle_cull_ms=60_000)


def run(seq: int, epoch: int = 1, **changes: Any) -> Run:
    fields: dict[str, Any] = {
        "nonce": run_pb2.RunNonce(boot_id=b"b" * 16, kernel_epoch=epoch, seq=seq),
        "session_id": b"s" * 16,
        "notebook_id": b"n" * 16,
        "cell_id": f"cell-{seq}",
        "user_id": "user",
        "code": "1",
        "limits": run_pb2.Limits(),
        "ciphertext_digest": bytes(32),
        "program_digest": seq.to_bytes(32, "big"),
        "grant_digest": bytes(32),
        "silent": False,
        "store_history": True,
        "allow_stdin": True,
        "stop_on_error": False,
        "user_expressions": {},
        "ticket": b"t" * 32,
        "socket_path": "/run/broker",
    }
    return Run(**(fields | changes))


class Bench:
    """A state and all that was asked for since the beginning."""

    def __init__(self, rules: m.Rules = RULES) -> None:
        self.state = m.State(rules)
        self.actions: list[m.Action] = []

    def do(self, *events: m.Event) -> list[m.Action]:
        before = len(self.actions)
        for event in events:
            self.state, actions = decide(self.state, event)
            self.actions += actions
        return self.actions[before:]

    def up(self, epoch: int = 1) -> None:
        self.do(m.StartKernelWanted("python3", 0, SOMEBODY))
        self.do(m.KernelUp(self.state.starts, "python3", "python", epoch, 0))

    def running(self, a: Run) -> None:
        self.do(m.Submit(a, 1), m.RunExecuting(a.nonce, 2), m.RunBusy(3))

    def over(self, a: Run, status: m.RunStatus = OK) -> list[m.Action]:
        return self.do(m.RunReplied(status, 100), m.RunIdle(101), m.RunRecorded(a.nonce, 102))

    def ends(self) -> dict[int, m.RunStatus]:
        return {action.run.nonce.seq: action.status for action in self.actions if isinstance(action, m.EndRun)}


def kinds(actions: list[m.Action]) -> list[type]:
    return [type(action) for action in actions]


def test_a_run_ends_when_the_kernel_replied_and_is_idle_in_either_order() -> None:
    for first, second in ((m.RunReplied(OK, 5), m.RunIdle(6)), (m.RunIdle(5), m.RunReplied(OK, 6))):
        bench, a = Bench(), run(1)
        bench.up()
        bench.running(a)
        assert bench.do(first) == []
        assert bench.do(second) == [m.EndRun(a, OK)]


def test_the_next_run_waits_for_the_receipt_of_the_one_before() -> None:
    bench, a, b = Bench(), run(1), run(2)
    bench.up()
    bench.running(a)
    bench.do(m.Submit(b, 4), m.RunReplied(OK, 5), m.RunIdle(6))
    assert m.StartRun not in kinds(bench.actions[-1:])
    assert bench.do(m.RunRecorded(a.nonce, 7)) == [m.StartRun(b)]


def test_a_kernel_that_tells_half_of_its_end_is_believed_after_a_while() -> None:
    bench, a = Bench(), run(1)
    bench.up()
    bench.running(a)
    bench.do(m.RunReplied(OK, 5))
    assert next_tick_ms(bench.state) == 5 + RULES.idle_wait_ms
    assert bench.do(m.Tick(5 + RULES.idle_wait_ms)) == [m.EndRun(a, OK)]


def test_an_interrupt_waits_until_the_code_is_reached_and_is_repeated_once() -> None:
    bench, a = Bench(), run(1)
    bench.up()
    bench.do(m.Submit(a, 1), m.RunExecuting(a.nonce, 2))
    assert bench.do(m.InterruptWanted(3)) == []
    assert bench.do(m.RunBusy(10)) == []
    assert bench.do(m.Tick(10 + RULES.settle_ms)) == [m.InterruptKernel()]
    assert bench.do(m.Tick(10 + RULES.settle_ms + RULES.repeat_ms)) == [m.InterruptKernel()]
    assert bench.do(m.Tick(5_000)) == []
    assert bench.over(a, ERROR)[0] == m.EndRun(a, INTERRUPTED)


def test_wall_time_interrupts_and_then_kills() -> None:
    bench, a, b = Bench(), run(1), run(2)
    bench.up()
    bench.running(a)
    bench.do(m.Submit(b, 4))
    assert bench.do(m.Tick(next_tick_ms(bench.state))) == [m.InterruptKernel()]
    actions = bench.do(m.Tick(next_tick_ms(bench.state)))
    assert kinds(actions)[0] is m.StopKernel
    assert bench.ends() == {1: LIMIT, 2: ABORTED}


def test_a_person_who_interrupted_does_not_lift_the_wall_time() -> None:
    bench, a = Bench(), run(1)
    bench.up()
    bench.running(a)
    bench.do(m.InterruptWanted(1_000))
    assert bench.do(m.Tick(10_002)) == [m.InterruptKernel()]
    bench.do(m.Tick(11_002))
    assert bench.ends() == {1: INTERRUPTED}


def test_a_start_that_a_stop_overtook_does_not_count_for_the_next_one() -> None:
    bench = Bench()
    bench.do(m.StartKernelWanted("python3", 0, SOMEBODY))
    first = bench.state.starts
    bench.do(m.StopWanted("no more"), m.StartKernelWanted("python3", 1, SOMEBODY))
    bench.do(m.KernelUp(first, "python3", "python", 1, 2))
    assert bench.state.kernel.phase == f.KERNEL_PHASE_STARTING
    bench.do(m.KernelUp(bench.state.starts, "python3", "python", 2, 3))
    assert bench.state.kernel.epoch == 2


def test_everyone_is_told_whose_programs_came_and_a_new_kernel_has_nobodys() -> None:
    bench = Bench()
    bench.up()

    def shown() -> list[tuple[str, ...]]:
        return [action.kernel.user_ids for action in bench.actions if isinstance(action, m.ShowKernel)]

    bench.running(run(1, user_id="ann"))
    bench.do(m.Submit(run(2, user_id="ben"), 5))
    # Told before it runs, because the broker counts it from then on; and of each once.
    assert bench.state.kernel.user_ids == shown()[-1] == ("ann", "ben")
    before = len(shown())
    bench.do(m.Submit(run(3, user_id="ann"), 6))
    assert len(shown()) == before
    bench.do(m.Submit(run(4, epoch=7, user_id="late"), 6))
    assert "late" not in bench.state.kernel.user_ids
    bench.do(m.RestartWanted(7, SOMEBODY), m.KernelUp(bench.state.starts, "python3", "python", 2, 8))
    assert bench.state.kernel.user_ids == shown()[-1] == ()
    bench.do(m.Submit(run(1, epoch=2, user_id="ben"), 9), m.StopWanted(""))
    assert shown()[-1] == ()


def test_the_queue_has_an_end() -> None:
    bench = Bench()
    bench.up()
    bench.do(*(m.Submit(run(seq), 1) for seq in range(1, 7)))
    ended = [action for action in bench.actions if isinstance(action, m.EndRun)]
    assert [(end.run.nonce.seq, end.reason) for end in ended] == [(6, reasons_pb2.ERROR_REASON_QUEUE_FULL)]


def test_a_drain_without_work_is_done_at_once_and_takes_the_kernel() -> None:
    bench = Bench()
    bench.up()
    assert kinds(bench.do(m.Drain(5, 1_000))) == [m.StopKernel, m.ShowKernel, m.Drained]


def test_asking_for_the_kernel_that_runs_changes_nothing() -> None:
    bench = Bench()
    bench.up()
    assert bench.do(m.StartKernelWanted("", 1, SOMEBODY), m.StartKernelWanted("python3", 1, SOMEBODY)) == []
    assert m.StartKernel in kinds(bench.do(m.StartKernelWanted("bash", 1, SOMEBODY)))


LOST = m.TrustLost(200, reasons_pb2.ERROR_REASON_TRUST_EXPIRED, "it expired")


def test_a_kernel_is_held_while_trust_is_gone_once_its_run_is_over() -> None:
    bench, a = Bench(), run(1)
    bench.up()
    bench.running(a)
    assert m.HoldKernel not in kinds(bench.do(LOST))
    assert bench.over(a, receipt_pb2.RUN_STATUS_ERROR)[-1] == m.HoldKernel(True)
    assert bench.do(m.TrustBack()) == [m.HoldKernel(False)]
    assert bench.do(m.TrustBack()) == []


def test_an_idle_kernel_is_held_at_once_and_one_that_is_not_there_is_not() -> None:
    bench = Bench()
    assert bench.do(LOST) == []
    bench.do(m.TrustBack())
    bench.up()
    assert bench.do(LOST) == [m.HoldKernel(True)]
    bench.do(m.StopWanted("stopped"))
    assert bench.do(m.TrustBack()) == []


class AnyOrder(RuleBasedStateMachine):
    """People, a kernel, a broker and a clock, each doing what it may in any order. The driver's answers are played faithfully: in order."""

    @initialize()
    def begin(self) -> None:
        self.bench = Bench()
        self.now, self.seq, self.epoch = 0, 0, 0
        self.submitted: set[int] = set()
        # What the driver's lane has still to do.
        self.lane: list[m.Action] = []

    def do(self, event: m.Event) -> None:
        for action in self.bench.do(event):
            if isinstance(action, m.StartRun | m.EndRun | m.StartKernel | m.StopKernel):
                self.lane.append(action)

    @rule(ms=st.integers(1, 20_000))
    def time_passes(self, ms: int) -> None:
        due = next_tick_ms(self.bench.state)
        self.now = min(self.now + ms, due) if due > self.now else self.now + ms
        self.do(m.Tick(self.now))

    @rule(stop=st.booleans(), stale=st.booleans())
    def submit(self, stop: bool, stale: bool) -> None:
        self.seq += 1
        self.submitted.add(self.seq)
        epoch = self.bench.state.kernel.epoch - (1 if stale else 0)
        self.do(m.Submit(run(self.seq, max(epoch, 0), stop_on_error=stop), self.now))

    @precondition(lambda self: self.lane)
    @rule(fails=st.integers(0, 9))
    def lane_does_its_next(self, fails: int) -> None:
        match self.lane.pop(0):
            case m.StartRun(a):
                self.do(m.RunNotStarted(a.nonce, "no receipt") if fails == 0 else m.RunExecuting(a.nonce, self.now))
            case m.EndRun(a):
                self.do(m.RunRecorded(a.nonce, self.now))
            case m.StartKernel(start, name, _):
                if fails == 0:
                    self.do(m.KernelFailed(start, "it did not come up"))
                else:
                    self.epoch += 1
                    self.do(m.KernelUp(start, name or "python3", "python", self.epoch, self.now))

    @rule(event=st.sampled_from(["busy", "idle", "ok", "error", "input"]))
    def kernel_says(self, event: str) -> None:
        said: dict[str, m.Event] = {
            "busy": m.RunBusy(self.now),
            "idle": m.RunIdle(self.now),
            "ok": m.RunReplied(OK, self.now),
            "error": m.RunReplied(ERROR, self.now),
            "input": m.InputWanted("?", False),
        }
        self.do(said[event])

    @rule(event=st.sampled_from(["start", "restart", "stop", "interrupt", "clear", "other", "die"]))
    def people_and_fate(self, event: str) -> None:
        wanted: dict[str, m.Event] = {
            "start": m.StartKernelWanted("python3", self.now, SOMEBODY),
            "other": m.StartKernelWanted("bash", self.now, SOMEBODY),
            "restart": m.RestartWanted(self.now, SOMEBODY),
            "stop": m.StopWanted("enough"),
            "interrupt": m.InterruptWanted(self.now),
            "clear": m.InterruptWanted(self.now, clear_queue=True),
            "die": m.KernelGone(self.bench.state.kernel.epoch, "it died"),
        }
        self.do(wanted[event])

    @precondition(lambda self: self.bench.state.queue)
    @rule(index=st.integers(0, 3))
    def cancel(self, index: int) -> None:
        queue = self.bench.state.queue
        self.do(m.CancelWanted(queue[index % len(queue)].nonce))

    @rule(right=st.booleans())
    def answer(self, right: bool) -> None:
        current = self.bench.state.current
        self.do(m.InputGiven(current.input_id if right and current else "wrong", "value"))

    @precondition(lambda self: self.seq > 15)
    @rule()
    def drain(self) -> None:
        self.do(m.Drain(self.now, 1_000))

    @invariant()
    def every_run_ends_at_most_once(self) -> None:
        ends = [action.run.nonce.seq for action in self.bench.actions if isinstance(action, m.EndRun)]
        assert len(ends) == len(set(ends))

    @invariant()
    def no_run_is_lost(self) -> None:
        ends = {action.run.nonce.seq for action in self.bench.actions if isinstance(action, m.EndRun)}
        state = self.bench.state
        waiting = {a.nonce.seq for a in state.queue}
        if state.current is not None and state.current.stage is not m.Stage.ENDING:
            waiting.add(state.current.run.nonce.seq)
        assert ends | waiting == self.submitted
        assert not ends & waiting

    @invariant()
    def one_run_at_a_time(self) -> None:
        open_runs = 0
        for action in self.bench.actions:
            if isinstance(action, m.StartRun):
                open_runs += 1
                started = action.run
            elif isinstance(action, m.EndRun) and open_runs and action.run == started:
                open_runs -= 1
            assert open_runs <= 1

    @invariant()
    def runs_start_in_the_order_they_came_and_on_their_own_kernel(self) -> None:
        starts = [action.run.nonce.seq for action in self.bench.actions if isinstance(action, m.StartRun)]
        assert starts == sorted(starts)
        if (current := self.bench.state.current) is not None and current.stage is not m.Stage.ENDING:
            assert current.run.nonce.kernel_epoch == self.bench.state.kernel.epoch

    @invariant()
    def a_drained_session_has_nothing_left(self) -> None:
        state = self.bench.state
        if state.drained:
            assert state.current is None and not state.queue and not state.kernel.coming

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        # Whatever happened: a drain, a lane that works and a clock that runs bring every run to its end.
        self.do(m.Drain(self.now, 1_000))
        for _ in range(200):
            while self.lane:
                self.lane_does_its_next(5)
            self.now += 3_000
            self.do(m.Tick(self.now))
        assert set(self.bench.ends()) == self.submitted
        assert self.bench.state.drained


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
