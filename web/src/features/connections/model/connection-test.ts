/**
 * A test of a connection: one cell of the type "connection_test", run where cells run, with the credential that they would use.
 *
 * - A kernel in which code ran before is begun anew: what was left in it could speak for the connection.
 * - Whoever tests ends the session afterwards, unless somebody else's test is in it.
 * - Tests of one browser share the session, and have it one after another: the end of one would be the end of the next.
 */
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { KernelPhase, RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { type Problem, problemOf } from "../../../shared/api/problem";
import { newCellId } from "../../../shared/bytes";
import { type CellOutputs, plainText } from "../../outputs/model";
import {
  type CellOrder,
  type LiveSession,
  type RunOutcome,
  type RunView,
  type SessionView,
  statusText,
} from "../../session";

export type Verdict =
  | { kind: "works"; reached: string }
  | { kind: "fails"; text: string }
  | { kind: "refused"; problem: Problem }
  | { kind: "cancelled" };

export type TestSession = Pick<
  LiveSession,
  "view" | "subscribe" | "run" | "cancelQueued" | "restart" | "settle" | "stop"
> & {
  kernel: Pick<LiveSession["kernel"], "interrupt" | "stop">;
};

export interface Collaborators {
  /** Who tests. */
  me: string;
  /** Acts when no other test of this browser is in the session, and lets none in before the act is over. */
  alone(act: () => Promise<void>): Promise<void>;
  open(): Promise<TestSession>;
  /** Closes the session at the platform. */
  end(): Promise<void>;
  tell(progress: string): void;
}

const SETTLE_MS = 10_000;

/** With a cell of its own: others may test the same connection in the same session. */
export function testOrder(connectionId: string): CellOrder {
  const fieldsJson = JSON.stringify({ connection: connectionId });
  return {
    cellId: `test-${connectionId}-${newCellId()}`,
    cellType: "connection_test",
    source: "",
    fieldsJson,
    stopOnError: true,
  };
}

/** Never rejects. After `stop` it is cancelled at once; what it began is ended behind it. */
export function tryConnection(order: CellOrder, by: Collaborators, stop: AbortSignal): Promise<Verdict> {
  return new Promise((resolve) => {
    stop.addEventListener("abort", () => {
      resolve({ kind: "cancelled" });
    });
    by.alone(() => tried(order, by, stop, resolve)).catch((error: unknown) => {
      resolve(refused(error));
    });
  });
}

/** Over when nothing of it is left in the session. */
async function tried(
  order: CellOrder,
  by: Collaborators,
  stop: AbortSignal,
  judge: (verdict: Verdict) => void,
): Promise<void> {
  const session = await by.open();
  const ran = ranIn(session, order, by, stop);
  judge(await Promise.race([ran, givenUp(stop)]).catch(refused));
  await left(session, order.cellId, by);
}

/** A run that does not end when it is told to is not waited for: its kernel is stopped. */
function givenUp(stop: AbortSignal): Promise<Verdict> {
  return new Promise((resolve) => {
    stop.addEventListener("abort", () => setTimeout(resolve, SETTLE_MS, { kind: "cancelled" }));
  });
}

function refused(error: unknown): Verdict {
  return { kind: "refused", problem: problemOf(error) };
}

async function ranIn(session: TestSession, order: CellOrder, by: Collaborators, stop: AbortSignal): Promise<Verdict> {
  const halt = halting(session, order.cellId);
  stop.addEventListener("abort", halt);
  const unsubscribe = session.subscribe(() => {
    if (stop.aborted) halt();
    else by.tell(progressOf(session.view, order.cellId));
  });
  try {
    await attached(session);
    const { kernel } = session.view.stream;
    if (kernel.userIds.length > 0 && kernel.phase === KernelPhase.IDLE) session.restart();
    if (stop.aborted) return { kind: "cancelled" };
    let outcome = await session.run(order);
    // It never started, because the kernel that it was compiled for was replaced meanwhile.
    if (outcome.kind === "ended" && outcome.status === RunStatus.ABORTED && !stop.aborted)
      outcome = await session.run(order);
    return verdictOf(outcome, session.view, order.cellId);
  } finally {
    unsubscribe();
    stop.removeEventListener("abort", halt);
  }
}

/** Stops the test's own run and nobody else's, once in each of its phases; to be called again whenever something has changed. */
function halting(session: TestSession, cellId: string): () => void {
  let told: RunPhase | undefined;
  return () => {
    const run = runOf(session.view, cellId);
    if (!run || run.phase === told) return;
    try {
      if (run.phase === RunPhase.QUEUED) session.cancelQueued(run.key);
      if (run.phase === RunPhase.RUNNING) session.kernel.interrupt();
      told = run.phase;
    } catch {
      // The connection is lost: it is said over the next one.
    }
  };
}

function runOf({ stream }: SessionView, cellId: string): RunView | undefined {
  return stream.runs[stream.latest[cellId] ?? ""];
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

async function left(session: TestSession, cellId: string, by: Collaborators): Promise<void> {
  try {
    if (session.view.link === "attached") await session.settle(SETTLE_MS);
    if (othersAreIn(session.view, cellId, by.me)) return;
    if (session.view.link === "attached") session.kernel.stop();
    await by.end();
  } catch {
    // It stays open; the next test finds it, begins its kernel anew, and ends it.
  } finally {
    session.stop();
  }
}

const UNDER_WAY = new Set([RunPhase.QUEUED, RunPhase.RUNNING]);

/** The same person may test in another browser: what is under way counts whoever began it. */
function othersAreIn({ stream }: SessionView, cellId: string, me: string): boolean {
  const runs = Object.values(stream.runs);
  return (
    stream.kernel.userIds.some((userId) => userId !== me) ||
    runs.some((run) => run.cellId !== cellId && UNDER_WAY.has(run.phase))
  );
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
