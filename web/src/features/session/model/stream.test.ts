import { describe, expect, test } from "vitest";
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { KernelPhase, OutputKind, RunPhase, type RuntimeFrame } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { kernelFrame, output, outputsFrame, printed, questionFrame, runFrame } from "../../../testing/frames";
import { plainText } from "../../outputs/model";
import { NEW_SESSION, type SessionState, answered, applyFrame } from "./stream";

const after = (...frames: RuntimeFrame[]): SessionState => frames.reduce(applyFrame, NEW_SESSION);
const textOf = (state: SessionState, cellId: string): string[] =>
  state.cells[cellId]?.outputs.items.map((item) => (item.kind === "stream" ? plainText(item.text) : item.kind)) ?? [];

const RUN = [
  runFrame(1, 1, "a", RunPhase.QUEUED),
  runFrame(2, 1, "a", RunPhase.RUNNING),
  outputsFrame(3, 1, "a", [printed("one\n")]),
];

describe("a session's stream", () => {
  test("puts a run's outputs to its cell", () => {
    const state = after(...RUN, runFrame(4, 1, "a", RunPhase.ENDED));
    expect(textOf(state, "a")).toEqual(["one\n"]);
    expect(Object.values(state.runs)).toMatchObject([
      { cellId: "a", status: RunStatus.OK, startedAtMs: 2, endedAtMs: 4 },
    ]);
  });

  test("a frame that comes twice counts once", () => {
    expect(textOf(after(...RUN, ...RUN), "a")).toEqual(["one\n"]);
  });

  test("a replay from the start gives the same state", () => {
    const frames = [...RUN, runFrame(4, 1, "a", RunPhase.ENDED), kernelFrame(5, KernelPhase.IDLE)];
    expect(after(...frames)).toEqual(after(...frames));
    expect(after(...frames).position).toBe(5n);
  });

  test("a frame of the connection alone does not move the position", () => {
    expect(applyFrame(NEW_SESSION, { ...kernelFrame(0, KernelPhase.BUSY) })).toBe(NEW_SESSION);
  });

  test("a queued run leaves the earlier outputs until it starts", () => {
    const queued = after(...RUN, runFrame(4, 1, "a", RunPhase.ENDED), runFrame(5, 2, "a", RunPhase.QUEUED));
    expect(textOf(queued, "a")).toEqual(["one\n"]);
    expect(textOf(applyFrame(queued, runFrame(6, 2, "a", RunPhase.RUNNING)), "a")).toEqual([]);
  });

  test("late output of a replaced run is not shown", () => {
    const state = after(...RUN, runFrame(4, 2, "a", RunPhase.RUNNING), outputsFrame(5, 2, "a", [printed("two")]));
    expect(textOf(applyFrame(state, outputsFrame(6, 1, "a", [printed("late")])), "a")).toEqual(["two"]);
  });

  test("an update reaches a display of another cell", () => {
    const shown = output(OutputKind.DISPLAY_DATA, { data: { "text/plain": "0 %" }, transient: { display_id: "bar" } });
    const update = output(OutputKind.UPDATE_DISPLAY_DATA, {
      data: { "text/plain": "9 %" },
      transient: { display_id: "bar" },
    });
    const state = after(
      runFrame(1, 1, "a", RunPhase.RUNNING),
      outputsFrame(2, 1, "a", [shown]),
      runFrame(3, 2, "b", RunPhase.RUNNING),
      outputsFrame(4, 2, "b", [update]),
    );
    expect(state.cells.a?.outputs.items).toMatchObject([{ data: { "text/plain": "9 %" } }]);
  });

  test("a question stays until its run goes on", () => {
    const asked = after(...RUN, questionFrame(4, 1, "q1", "Name? "));
    expect(asked.questions).toHaveLength(1);
    expect(applyFrame(asked, outputsFrame(5, 1, "a", [printed("thanks", 2)])).questions).toEqual([]);
    expect(applyFrame(asked, runFrame(5, 1, "a", RunPhase.ENDED)).questions).toEqual([]);
    const next = applyFrame(answered(asked, "q1"), questionFrame(5, 1, "q2", "Age? "));
    expect(next.questions).toMatchObject([{ request: { requestId: "q2" }, answer: "open" }]);
  });
});
