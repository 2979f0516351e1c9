/**
 * A test of a connection: one cell of the type "connection_test", run where cells run, with the credential that they would use.
 *
 * - A kernel in which code ran before is begun anew: what was left in it could speak for the connection.
 * - Whoever tests ends the session afterwards, unless somebody else's test is in it.
 */
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { KernelPhase, RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { type Problem, problemOf } from "../../../shared/api/problem";
import { type CellOutputs, plainText } from "../../outputs/model";
import { type CellOrder, type LiveSession, type RunOutcome, type SessionView, statusText } from "../../session";

export type Verdict =
  | { kind: "works"; reached: string }
  | { kind: "fails"; text: string }
  | { kind: "refused"; problem: Problem }
  | { kind: "cancelled" };

export type TestSession = Pick<LiveSession, "view" | "subscribe" | "run" | "restart" | "settle" | "stop"> & {
  kernel: Pick<LiveSession["kernel"], "interrupt" | "stop">;
};

export interface Collaborators {
  /** Who tests. */
  me: string;
  open(): Promise<TestSession>;
  /** Closes the session at the platform. */
  end(): Promise<void>;
  tell(progress: string): void;
}

const SETTLE_MS = 10_000;

export function testOrder(connectionId: string): CellOrder {
  const fieldsJson = JSON.stringify({ connection: connectionId });
  return { cellId: `test-${connectionId}`, cellType: "connection_test", source: "", fieldsJson, stopOnError: true };
}

/** Never rejects. After `stop` it is cancelled at once; what it began is ended behind it. */
export async function tryConnection(connectionId: string, by: Collaborators, stop: AbortSignal): Promise<Verdict> {
  const stopped = new Promise<Verdict>((resolve) => {
    stop.addEventListener("abort", () => {
      resolve({ kind: "cancelled" });
    });
  });
  return Promise.race([stopped, tried(connectionId, by, stop)]);
}

async function tried(connectionId: string, by: Collaborators, stop: AbortSignal): Promise<Verdict> {
  let session: TestSession;
  try {
    session = await by.open();
  } catch (error) {
    return { kind: "refused", problem: problemOf(error) };
  }
  try {
    return await ranIn(session, testOrder(connectionId), by, stop);
  } finally {
    void left(session, by);
  }
}

async function ranIn(session: TestSession, order: CellOrder, by: Collaborators, stop: AbortSignal): Promise<Verdict> {
  const interrupt = (): void => {
    if (session.view.link === "attached") session.kernel.interrupt(true);
  };
  stop.addEventListener("abort", interrupt);
  const unsubscribe = session.subscribe(() => {
    by.tell(progressOf(session.view, order.cellId));
  });
  try {
    await attached(session);
    const { kernel } = session.view.stream;
    if (kernel.userIds.length > 0 && kernel.phase === KernelPhase.IDLE) session.restart();
    if (stop.aborted) return { kind: "cancelled" };
    let outcome = await session.run(order);
    // It never started, because the kernel that it was compiled for was replaced meanwhile.
    if (outcome.kind === "ended" && outcome.status === RunStatus.ABORTED) outcome = await session.run(order);
    return verdictOf(outcome, session.view, order.cellId);
  } finally {
    unsubscribe();
    stop.removeEventListener("abort", interrupt);
  }
}

/** Settles when the runtime has been reached, or has not. */
function attached(session: TestSession): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      const { link, caughtUp } = session.view;
      if ((link !== "attached" || !caughtUp) && link !== "waiting" && link !== "stopped") return;
      unsubscribe();
      resolve();
    };
    const unsubscribe = session.subscribe(look);
    look();
  });
}

async function left(session: TestSession, by: Collaborators): Promise<void> {
  const others = session.view.stream.kernel.userIds.some((userId) => userId !== by.me);
  try {
    if (session.view.link === "attached") await session.settle(SETTLE_MS);
    if (others) return;
    if (session.view.link === "attached") session.kernel.stop();
    await by.end();
  } catch {
    // It stays open; the next test finds it, begins its kernel anew, and ends it.
  } finally {
    session.stop();
  }
}

export function progressOf({ link, stream, submissions }: SessionView, cellId: string): string {
  if (link !== "attached") return "Connecting to the runtime";
  if (stream.kernel.phase === KernelPhase.STARTING) return "Starting a kernel";
  const run = stream.runs[stream.latest[cellId] ?? ""];
  if (submissions[cellId]?.phase === "compiling") return "Compiling and sealing the test";
  if (run?.phase === RunPhase.RUNNING) return "The runtime is trying the connection";
  return "Waiting for the kernel";
}

export function verdictOf(outcome: RunOutcome, { stream }: SessionView, cellId: string): Verdict {
  if (outcome.kind === "refused") return { kind: "refused", problem: outcome.problem };
  const outputs = stream.cells[cellId]?.outputs;
  if (outcome.status === RunStatus.INTERRUPTED) return { kind: "cancelled" };
  if (outcome.status === RunStatus.OK) return { kind: "works", reached: reachedOf(outputs) };
  const said = outputs?.items.flatMap((item) => (item.kind === "error" ? [item.value] : [])).join(" ");
  const run = stream.runs[outcome.runKey];
  return { kind: "fails", text: said || run?.message || statusText(outcome.status) };
}

/** Of "ok: tickets.internal answered 200 OK (12 ms)" what is after the colon. */
function reachedOf(outputs: CellOutputs | undefined): string {
  const text = outputs?.items.map((item) => (item.kind === "stream" ? plainText(item.text) : "")).join("") ?? "";
  return text.trim().replace(/^ok: /, "");
}
