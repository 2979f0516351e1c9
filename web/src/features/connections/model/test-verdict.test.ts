import { expect, test } from "vitest";
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { nonce, outputsFrame, printed, runFrame } from "../../../testing/frames";
import { sessionView } from "../../../testing/session-view";
import { runKey } from "../../session";
import { progressOf, verdictOf } from "./test-verdict";

const CELL = "test-c1";

test("progress is told in words", () => {
  expect(progressOf(sessionView({ view: { link: "connecting" } }), CELL)).toBe("Connecting to the runtime");
  expect(progressOf(sessionView({ view: { submissions: { [CELL]: { phase: "compiling" } } } }), CELL)).toBe(
    "Compiling and sealing the test",
  );
  expect(progressOf(sessionView({ frames: [runFrame(1, 1, CELL, RunPhase.RUNNING)] }), CELL)).toBe(
    "The runtime is trying the connection",
  );
});

test.each([RunStatus.KERNEL_DIED, RunStatus.LOST, RunStatus.LIMIT, RunStatus.ABORTED])(
  "a test that came to no end (status %i) says nothing of the connection",
  (status) => {
    const ended = runFrame(1, 1, CELL, RunPhase.ENDED, { status, message: "It was stopped." });
    const verdict = verdictOf(
      { kind: "ended", status, runKey: runKey(nonce(1)) },
      sessionView({ frames: [ended] }),
      CELL,
    );
    const problem = { text: "The test did not come to an end.", advice: "It was stopped. Test again." };
    expect(verdict).toMatchObject({ kind: "refused", problem });
  },
);

test.each([RunStatus.OK, RunStatus.ERROR])("code that ran before it could have said it (status %i)", (status) => {
  const frames = [
    runFrame(1, 1, "hook", RunPhase.RUNNING),
    runFrame(2, 2, CELL, RunPhase.RUNNING),
    outputsFrame(3, 2, CELL, [printed("ok: it works\n")]),
  ];
  const verdict = verdictOf({ kind: "ended", status, runKey: runKey(nonce(2)) }, sessionView({ frames }), CELL);
  const problem = { text: "Other code ran in the kernel before the test, and could speak for the connection." };
  expect(verdict).toMatchObject({ kind: "refused", problem });
});
