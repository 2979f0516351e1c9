/** What a test of a connection came to, and how far it is, out of what its session shows. Pure. */
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { KernelPhase, RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { type Problem, Trouble, problemOf } from "../../../shared/api/problem";
import { type CellOutputs, plainText } from "../../outputs/model";
import { type RunOutcome, type RunView, type SessionState, type SessionView, statusText } from "../../session";

export type Verdict =
  | { kind: "works"; reached: string }
  | { kind: "fails"; text: string }
  | { kind: "refused"; problem: Problem }
  | { kind: "cancelled" };

/** The newest run of the test's own cell. */
export function runOf({ stream }: SessionView, cellId: string): RunView | undefined {
  return stream.runs[stream.latest[cellId] ?? ""];
}

export function progressOf(view: SessionView, cellId: string): string {
  const { link, stream, submissions } = view;
  if (link !== "attached") return "Connecting to the runtime";
  if (stream.kernel.phase === KernelPhase.STARTING) return "Starting a kernel";
  if (submissions[cellId]?.phase === "compiling") return "Compiling and sealing the test";
  if (runOf(view, cellId)?.phase === RunPhase.RUNNING) return "The runtime is trying the connection";
  return "Waiting for the kernel";
}

export function verdictOf(outcome: RunOutcome, { stream }: SessionView, cellId: string): Verdict {
  if (outcome.kind === "refused") return { kind: "refused", problem: outcome.problem };
  const run = stream.runs[outcome.runKey];
  const told = run?.message || statusText(outcome.status);
  const outputs = stream.cells[cellId]?.outputs;
  switch (outcome.status) {
    case RunStatus.INTERRUPTED:
      return { kind: "cancelled" };
    case RunStatus.OK:
      return overtaken(stream, run) ?? { kind: "works", reached: reachedOf(outputs) };
    case RunStatus.ERROR:
      return overtaken(stream, run) ?? { kind: "fails", text: causeOf(outputs) || told };
    default:
      return refused(new Trouble("The test did not come to an end.", `${told.replace(/\.?$/, ".")} Test again.`));
  }
}

export function refused(error: unknown): Verdict {
  return { kind: "refused", problem: problemOf(error) };
}

/** Code that came into the kernel between its start and the test. */
function overtaken({ runs }: SessionState, own: RunView | undefined): Verdict | undefined {
  const { kernelEpoch, seq = 0n } = own?.nonce ?? {};
  const before = Object.values(runs).some(
    ({ nonce, startedAtMs }) => nonce?.kernelEpoch === kernelEpoch && startedAtMs > 0 && (nonce?.seq ?? 0n) < seq,
  );
  if (!before) return undefined;
  const text = "Other code ran in the kernel before the test, and could speak for the connection.";
  return refused(new Trouble(text, "Test again."));
}

function causeOf(outputs: CellOutputs | undefined): string {
  return outputs?.items.flatMap((item) => (item.kind === "error" ? [item.value] : [])).join(" ") ?? "";
}

/** Of "ok: tickets.internal answered 200 OK (12 ms)" what is after the colon. */
function reachedOf(outputs: CellOutputs | undefined): string {
  const text = outputs?.items.map((item) => (item.kind === "stream" ? plainText(item.text) : "")).join("") ?? "";
  return text.trim().replace(/^ok: /, "");
}
