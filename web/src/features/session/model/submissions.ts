/**
 * The runs that this page asked for, from the click to the end.
 *
 * A submission is compiled and sent when the ones before it were; the runtime then speaks of it by the digest of its ciphertext. A
 * refused compilation stays with its cell until the cell is run again. What was refused because the runtime lacks something that the page
 * can bring is compiled and sent once more, after that was brought: it never started.
 */
import type { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { type Problem, Trouble, problemOf } from "../../../shared/api/problem";
import { newTraceparent } from "../../../shared/api/trace";
import { toHex } from "../../../shared/bytes";
import type { SessionState } from "./stream";

export interface CellOrder {
  cellId: string;
  cellType: string;
  source: string;
  fieldsJson: string;
  stopOnError: boolean;
}

export type Submission =
  { readonly phase: "waiting" | "compiling" | "sent" } | { readonly phase: "refused"; readonly problem: Problem };

export type RunOutcome = { kind: "ended"; status: RunStatus; runKey: string } | { kind: "refused"; problem: Problem };

interface Collaborators {
  compile(order: CellOrder, traceparent: string): Promise<{ sealed: Uint8Array; ciphertextDigest: Uint8Array }>;
  send(sealed: Uint8Array, traceparent: string): void;
  changed(submissions: Readonly<Record<string, Submission>>): void;
  /** Brings what a refusal asks for; undefined where nothing can be brought. Never rejects. */
  mend(reason: ErrorReason): Promise<void> | undefined;
}

/** One click on Run. */
interface Wish {
  order: CellOrder;
  resolve(outcome: RunOutcome): void;
  /** Once is enough: what is refused twice is for the person. */
  mended: boolean;
}

interface Sent extends Wish {
  sealed: Uint8Array;
  traceparent: string;
}

export class Submissions {
  readonly #with: Collaborators;
  readonly #sent = new Map<string, Sent>();
  #byCell: Readonly<Record<string, Submission>> = {};
  #line: Promise<unknown> = Promise.resolve();

  constructor(collaborators: Collaborators) {
    this.#with = collaborators;
  }

  submit(order: CellOrder): Promise<RunOutcome> {
    const { promise, resolve } = Promise.withResolvers<RunOutcome>();
    this.#enqueue({ order, resolve, mended: false });
    return promise;
  }

  /** Looks which of the sent ones the runtime has taken up, and which have ended. */
  follow(stream: SessionState): void {
    if (this.#sent.size === 0) return;
    for (const run of Object.values(stream.runs)) {
      const sent = this.#sent.get(run.ciphertext);
      if (!sent) continue;
      this.#clear(sent.order.cellId);
      if (run.phase === RunPhase.ENDED) {
        this.#sent.delete(run.ciphertext);
        sent.resolve({ kind: "ended", status: run.status, runKey: run.key });
      } else if (run.phase === RunPhase.REJECTED) {
        const problem: Problem = { reason: run.reason, text: run.message, advice: "", metadata: {}, violations: [] };
        this.#refused(run.ciphertext, sent, problem);
      }
    }
  }

  /** After a reconnection: what the runtime has not taken up is sent again; another boot cannot open it. */
  resume(stream: SessionState, sameBoot: boolean): void {
    this.follow(stream);
    const known = new Set(Object.values(stream.runs).map((run) => run.ciphertext));
    for (const [ciphertext, sent] of [...this.#sent]) {
      if (known.has(ciphertext)) continue;
      if (sameBoot) this.#with.send(sent.sealed, sent.traceparent);
      else
        this.refuse(
          ciphertext,
          new Trouble("The runtime was started anew before the run ended.", "Run the cell again."),
        );
    }
  }

  /** The runtime complained about one of the sent ones. */
  refuse(ciphertext: string, error: unknown): boolean {
    const sent = this.#sent.get(ciphertext);
    if (!sent) return false;
    this.#refused(ciphertext, sent, problemOf(error));
    return true;
  }

  #enqueue(wish: Wish, after: Promise<void> = Promise.resolve()): void {
    this.#set(wish.order.cellId, { phase: "waiting" });
    this.#line = this.#line.then(() => after).then(() => this.#send(wish));
  }

  async #send(wish: Wish): Promise<void> {
    const { order } = wish;
    this.#set(order.cellId, { phase: "compiling" });
    const traceparent = newTraceparent();
    let ciphertext = "";
    try {
      const { sealed, ciphertextDigest } = await this.#with.compile(order, traceparent);
      ciphertext = toHex(ciphertextDigest);
      this.#sent.set(ciphertext, { ...wish, sealed, traceparent });
      this.#with.send(sealed, traceparent);
      this.#set(order.cellId, { phase: "sent" });
    } catch (error) {
      this.#refused(ciphertext, wish, problemOf(error));
    }
  }

  /** What was refused is not sent again by a reconnection. */
  #refused(ciphertext: string, { order, resolve, mended }: Wish, problem: Problem): void {
    this.#sent.delete(ciphertext);
    const mending = mended ? undefined : this.#with.mend(problem.reason);
    if (mending) {
      this.#enqueue({ order, resolve, mended: true }, mending);
      return;
    }
    this.#set(order.cellId, { phase: "refused", problem });
    resolve({ kind: "refused", problem });
  }

  #set(cellId: string, submission: Submission): void {
    this.#byCell = { ...this.#byCell, [cellId]: submission };
    this.#with.changed(this.#byCell);
  }

  #clear(cellId: string): void {
    if (!(cellId in this.#byCell)) return;
    this.#byCell = Object.fromEntries(Object.entries(this.#byCell).filter(([id]) => id !== cellId));
    this.#with.changed(this.#byCell);
  }
}
