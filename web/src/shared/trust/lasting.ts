import { formatTime } from "../clock";

/** How long a runtime may go on: until its trust state expires, and then until the workspace's grace is over. */
export interface Lasting {
  readonly expiresAtMs: number;
  readonly runsUntilMs: number;
}

export interface Standing {
  readonly phase: "none" | "fresh" | "grace" | "expired";
  readonly tone: "ok" | "warn" | "bad" | "plain";
  readonly title: string;
  /** What it means. */
  readonly text: string;
  /** How to go on. */
  readonly advice: string;
}

const RENEWS = "Opening a session on it renews its trust, once the platform answers.";

/** What to tell a person now. Times are Unix milliseconds; 0 stands for no trust state yet. */
export function standing({ expiresAtMs, runsUntilMs }: Lasting, now: number): Standing {
  if (expiresAtMs === 0)
    return {
      phase: "none",
      tone: "plain",
      title: "No trust yet",
      text: "It gets its first when a session opens on it.",
      advice: "",
    };
  if (now < expiresAtMs)
    return { phase: "fresh", tone: "ok", title: `Trusted until ${formatTime(expiresAtMs)}`, text: "", advice: "" };
  if (now < runsUntilMs)
    return {
      phase: "grace",
      tone: "warn",
      title: "In its grace",
      text: `Its trust has expired. Cells go on until ${formatTime(runsUntilMs)}.`,
      advice: RENEWS,
    };
  return {
    phase: "expired",
    tone: "bad",
    title: "Its trust has expired",
    text: `Nothing has run on it since ${formatTime(Math.max(runsUntilMs, expiresAtMs))}.`,
    advice: RENEWS,
  };
}
