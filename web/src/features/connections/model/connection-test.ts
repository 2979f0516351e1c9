/**
 * A test of a connection: one cell of the type "connection_test", run where cells run, with the credential that they would use.
 *
 * - A kernel into which code came before is begun anew, busy or not: what was left in it could speak for the connection.
 * - Whoever tests ends the session afterwards, unless somebody else's test is in it.
 * - Tests of one browser share the session, and have it one after another: the end of one would be the end of the next.
 */
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { newCellId } from "../../../shared/bytes";
import type { CellOrder, LiveSession, SessionView } from "../../session";
import { type Verdict, progressOf, refused, runOf, verdictOf } from "./test-verdict";

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

async function ranIn(session: TestSession, order: CellOrder, by: Collaborators, stop: AbortSignal): Promise<Verdict> {
  const halt = halting(session, order.cellId);
  stop.addEventListener("abort", halt);
  const unsubscribe = session.subscribe(() => {
    if (stop.aborted) halt();
    else by.tell(progressOf(session.view, order.cellId));
  });
  try {
    await attached(session);
    if (session.view.stream.kernel.userIds.length > 0) session.restart();
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
