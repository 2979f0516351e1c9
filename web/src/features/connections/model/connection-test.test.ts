import { afterEach, describe, expect, test, vi } from "vitest";
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { KernelPhase, OutputKind, RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { Trouble } from "../../../shared/api/problem";
import { kernelFrame, nonce, output, outputsFrame, printed, runFrame } from "../../../testing/frames";
import { sessionView } from "../../../testing/session-view";
import { type RunOutcome, type SessionView, runKey } from "../../session";

import { type TestSession, testOrder, tryConnection } from "./connection-test";

const ORDER = testOrder("c1");
const CELL = ORDER.cellId;
const KEY = runKey(nonce(1));
const ENDED = (status: RunStatus): RunOutcome => ({ kind: "ended", status, runKey: KEY });

function session(view: SessionView, outcome: RunOutcome | Promise<RunOutcome>) {
  const listeners: (() => void)[] = [];
  const made = {
    view,
    subscribe: (listener: () => void) => {
      listeners.push(listener);
      return () => true;
    },
    show: (next: SessionView) => {
      made.view = next;
      for (const listener of listeners) listener();
    },
    run: vi.fn(() => Promise.resolve(outcome)),
    cancelQueued: vi.fn(),
    restart: vi.fn(),
    settle: vi.fn(() => Promise.resolve()),
    stop: vi.fn(),
    kernel: { interrupt: vi.fn(), stop: vi.fn() },
  } satisfies TestSession & { show: unknown };
  return made;
}

const now = (act: () => Promise<void>) => act();

function attempt(made: TestSession, stop = new AbortController()) {
  const end = vi.fn(() => Promise.resolve());
  const by = { me: "me", alone: now, open: () => Promise.resolve(made), end, tell: () => undefined };
  return { end, stop, verdict: tryConnection(ORDER, by, stop.signal) };
}

afterEach(() => {
  vi.useRealTimers();
});

describe("a test of a connection", () => {
  test("says what was reached, and leaves nothing behind", async () => {
    const made = session(
      sessionView({ frames: [outputsFrame(1, 1, CELL, [printed("ok: h answered 200 OK (3 ms)\n")])] }),
      ENDED(RunStatus.OK),
    );
    const { verdict, end } = attempt(made);
    expect(await verdict).toEqual({ kind: "works", reached: "h answered 200 OK (3 ms)" });
    expect(made.run).toHaveBeenCalledWith(
      expect.objectContaining({ cellType: "connection_test", fieldsJson: '{"connection":"c1"}' }),
    );
    await vi.waitFor(() => {
      expect(made.stop).toHaveBeenCalledOnce();
    });
    expect(end).toHaveBeenCalledOnce();
    expect(made.kernel.stop).toHaveBeenCalledOnce();
    expect(made.restart).not.toHaveBeenCalled();
  });

  test("says the cause of a failure without the traceback", async () => {
    const said = output(OutputKind.ERROR, { ename: "UseFailed", evalue: "h answered 401", traceback: ["line 1"] });
    const made = session(sessionView({ frames: [outputsFrame(1, 1, CELL, [said])] }), ENDED(RunStatus.ERROR));
    expect(await attempt(made).verdict).toEqual({ kind: "fails", text: "h answered 401" });
  });

  test.each([KernelPhase.IDLE, KernelPhase.BUSY])(
    "begins a kernel anew into which code came (phase %i), and leaves another person's session open",
    async (phase) => {
      const busy = kernelFrame(1, phase, 1, "", ["someone"]);
      const made = session(sessionView({ frames: [busy] }), ENDED(RunStatus.OK));
      const { verdict, end } = attempt(made);
      expect((await verdict).kind).toBe("works");
      expect(made.restart).toHaveBeenCalledOnce();
      await vi.waitFor(() => {
        expect(made.stop).toHaveBeenCalledOnce();
      });
      expect([end.mock.calls.length, made.kernel.stop.mock.calls.length]).toEqual([0, 0]);
    },
  );

  test("runs again when its kernel was replaced before it started", async () => {
    const made = session(sessionView(), ENDED(RunStatus.OK));
    made.run.mockResolvedValueOnce(ENDED(RunStatus.ABORTED));
    expect((await attempt(made).verdict).kind).toBe("works");
    expect(made.run).toHaveBeenCalledTimes(2);
  });

  test("is cancelled at once, and its own run is stopped wherever it is", async () => {
    const { promise, resolve } = Promise.withResolvers<RunOutcome>();
    const other = runFrame(1, 1, "another's", RunPhase.RUNNING);
    const made = session(sessionView({ frames: [other] }), promise);
    const { verdict, stop } = attempt(made);
    await vi.waitFor(() => {
      expect(made.run).toHaveBeenCalledOnce();
    });
    stop.abort();
    expect(await verdict).toEqual({ kind: "cancelled" });
    // It was on its way: what runs is another's.
    expect(made.kernel.interrupt).not.toHaveBeenCalled();
    made.show(sessionView({ frames: [other, runFrame(2, 2, CELL, RunPhase.QUEUED)] }));
    expect(made.cancelQueued.mock.calls).toEqual([[runKey(nonce(2))]]);
    made.show(sessionView({ frames: [runFrame(2, 2, CELL, RunPhase.RUNNING)] }));
    made.show(sessionView({ frames: [runFrame(2, 2, CELL, RunPhase.RUNNING)] }));
    expect(made.kernel.interrupt.mock.calls).toEqual([[]]);
    resolve(ENDED(RunStatus.ABORTED));
    await vi.waitFor(() => {
      expect(made.stop).toHaveBeenCalledOnce();
    });
    expect(made.run).toHaveBeenCalledOnce();
  });

  test("leaves a session open in which another browser of the same person tests", async () => {
    const running = runFrame(1, 1, "test-c2", RunPhase.RUNNING);
    const made = session(sessionView({ userIds: ["me"], frames: [running] }), ENDED(RunStatus.OK));
    const { end } = attempt(made);
    await vi.waitFor(() => {
      expect(made.stop).toHaveBeenCalledOnce();
    });
    expect([end.mock.calls.length, made.kernel.stop.mock.calls.length]).toEqual([0, 0]);
  });

  test("that was cancelled lets the next one in when nothing of it is left", async () => {
    const { promise, resolve } = Promise.withResolvers<RunOutcome>();
    const made = session(sessionView(), promise);
    const steps: string[] = [];
    const said = (step: string) => () => {
      steps.push(step);
      return Promise.resolve();
    };
    made.settle.mockImplementation(said("settled"));
    const stop = new AbortController();
    const open = () => Promise.resolve(made);
    const alone = (act: () => Promise<void>) => act().then(said("over"));
    const by = { me: "me", alone, open, end: said("ended"), tell: () => undefined };
    const verdict = tryConnection(ORDER, by, stop.signal);
    stop.abort();
    expect(await verdict).toEqual({ kind: "cancelled" });
    expect(steps).toEqual([]);
    resolve(ENDED(RunStatus.INTERRUPTED));
    await vi.waitFor(() => {
      expect(steps).toEqual(["settled", "ended", "over"]);
    });
  });

  test("that was cancelled does not wait for ever for a run that does not end", async () => {
    vi.useFakeTimers();
    const made = session(sessionView(), new Promise(() => undefined));
    const { verdict, stop, end } = attempt(made);
    await vi.advanceTimersByTimeAsync(1);
    stop.abort();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await verdict).toEqual({ kind: "cancelled" });
    expect([made.kernel.stop.mock.calls.length, end.mock.calls.length]).toEqual([1, 1]);
  });

  test("whose connection is lost while the kernel is begun anew is refused, and left", async () => {
    const made = session(sessionView({ userIds: ["me"] }), ENDED(RunStatus.OK));
    made.restart.mockImplementation(() => {
      throw new Trouble("The runtime is not connected.");
    });
    const { verdict, end } = attempt(made);
    expect(await verdict).toMatchObject({ kind: "refused", problem: { text: "The runtime is not connected." } });
    await vi.waitFor(() => {
      expect(end).toHaveBeenCalledOnce();
    });
  });

  test("tells what the services refused, before and after there is a session", async () => {
    const problem = { reason: ErrorReason.CONNECTION_UNUSABLE, text: "no", advice: "", metadata: {}, violations: [] };
    expect(await attempt(session(sessionView(), { kind: "refused", problem })).verdict).toEqual({
      kind: "refused",
      problem,
    });
    const open = () => Promise.reject(new Trouble("down"));
    const by = { me: "me", alone: now, open, end: vi.fn(), tell: () => undefined };
    const verdict = await tryConnection(ORDER, by, new AbortController().signal);
    expect(verdict).toMatchObject({ kind: "refused", problem: { text: "down" } });
  });
});
