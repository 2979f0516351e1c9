/** What a live session knows, as one immutable value, and who is told when it changes. */
import type { KernelSpec } from "../../../gen/spinapis/runtime/v1/frames_pb";
import type { Problem } from "../../../shared/api/problem";
import type { Lasting } from "../../../shared/trust/lasting";
import type { LinkPhase } from "./link";
import { type SessionState, NEW_SESSION } from "./stream";
import type { Submission } from "./submissions";

export interface SessionView {
  readonly link: LinkPhase;
  /** Why it is not attached, or what the runtime complained about last. */
  readonly problem: Problem | undefined;
  readonly caughtUp: boolean;
  readonly kernels: readonly KernelSpec[];
  readonly warnings: readonly string[];
  /** How long the runtime is trusted, as it said last; undefined before it said anything. */
  readonly trust: Lasting | undefined;
  readonly stream: SessionState;
  readonly submissions: Readonly<Record<string, Submission>>;
}

const NEW_VIEW: SessionView = {
  link: "connecting",
  problem: undefined,
  caughtUp: false,
  kernels: [],
  warnings: [],
  trust: undefined,
  stream: NEW_SESSION,
  submissions: {},
};

/** Runs an act before the screen is drawn next. */
export type Schedule = (act: () => void) => void;

/** Changes count at once; listeners are told once for all changes before the next frame of the screen. */
export class ViewStore {
  #view = NEW_VIEW;
  #told = true;
  readonly #listeners = new Set<() => void>();
  readonly #schedule: Schedule;

  constructor(schedule: Schedule = onNextFrame) {
    this.#schedule = schedule;
  }

  get view(): SessionView {
    return this.#view;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  update(change: Partial<SessionView>): void {
    this.#view = { ...this.#view, ...change };
    if (!this.#told) return;
    this.#told = false;
    this.#schedule(() => {
      this.#told = true;
      for (const listener of this.#listeners) listener();
    });
  }
}

/** A hidden page draws no frames: the timer makes sure that it still hears. */
function onNextFrame(act: () => void): void {
  let done = false;
  const once = (): void => {
    if (done) return;
    done = true;
    act();
  };
  requestAnimationFrame(once);
  setTimeout(once, 100);
}
