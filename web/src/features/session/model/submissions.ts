/**
 * The runs that this page asked for, from the click to the end.
 *
 * A submission is compiled and sent when the ones before it were; the runtime then speaks of it by the digest of its ciphertext. A
 * refused compilation stays with its cell until the cell is run again.
 */
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
}

interface Sent {
  cellId: string;
  sealed: Uint8Array;
  traceparent: string;
  resolve(outcome: RunOutcome): void;
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
    this.#set(order.cellId, { phase: "waiting" });
    const { promise, resolve } = Promise.withResolvers<RunOutcome>();
    this.#line = this.#line.then(() => this.#send(order, resolve));
    return promise;
  }

  /** Looks which of the sent ones the runtime has taken up, and which have ended. */
  follow(stream: SessionState): void {
    if (this.#sent.size === 0) return;
    for (const run of Object.values(stream.runs)) {
      const sent = this.#sent.get(run.ciphertext);
      if (!sent) continue;
      this.#clear(sent.cellId);
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

  async #send(order: CellOrder, resolve: (outcome: RunOutcome) => void): Promise<void> {
    this.#set(order.cellId, { phase: "compiling" });
    const traceparent = newTraceparent();
    try {
      const { sealed, ciphertextDigest } = await this.#with.compile(order, traceparent);
      this.#sent.set(toHex(ciphertextDigest), { cellId: order.cellId, sealed, traceparent, resolve });
      this.#with.send(sealed, traceparent);
      this.#set(order.cellId, { phase: "sent" });
    } catch (error) {
      const problem = problemOf(error);
      this.#set(order.cellId, { phase: "refused", problem });
      resolve({ kind: "refused", problem });
    }
  }

  #refused(ciphertext: string, sent: Sent, problem: Problem): void {
    this.#sent.delete(ciphertext);
    this.#set(sent.cellId, { phase: "refused", problem });
    sent.resolve({ kind: "refused", problem });
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
