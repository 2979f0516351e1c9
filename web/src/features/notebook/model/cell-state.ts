/** How a cell's newest run stands, for people. */
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { RunPhase } from "../../../gen/spinapis/runtime/v1/frames_pb";
import type { Tone } from "../../../shared/ui";
import { formatDuration } from "../../../shared/clock";
import { type RunView, type Submission, statusText } from "../../session";

export interface CellState {
  name: "idle" | "waiting" | "queued" | "running" | "ok" | "failed" | "refused" | "unapproved";
  text: string;
  tone: Tone;
  active: boolean;
}

const IDLE: CellState = { name: "idle", text: "", tone: "plain", active: false };

export function cellState(run: RunView | undefined, submission: Submission | undefined): CellState {
  if (submission) return ofSubmission(submission);
  if (!run) return IDLE;
  switch (run.phase) {
    case RunPhase.QUEUED:
      return { name: "queued", text: "Queued", tone: "busy", active: true };
    case RunPhase.RUNNING:
      return { name: "running", text: "Running", tone: "busy", active: true };
    case RunPhase.ENDED:
      return ended(run);
    case RunPhase.REJECTED:
      return { name: "refused", text: "Refused by the runtime", tone: "bad", active: false };
    case RunPhase.UNSPECIFIED:
      return IDLE;
  }
}

function ofSubmission(submission: Submission): CellState {
  switch (submission.phase) {
    case "waiting":
      return { name: "waiting", text: "Waiting", tone: "busy", active: true };
    case "compiling":
      return { name: "waiting", text: "Compiling", tone: "busy", active: true };
    case "sent":
      return { name: "waiting", text: "Sent", tone: "busy", active: true };
    case "refused":
      if (submission.problem.reason === ErrorReason.APPROVAL_REQUIRED)
        return { name: "unapproved", text: "Needs approval", tone: "warn", active: false };
      return { name: "refused", text: "Not run", tone: "bad", active: false };
  }
}

function ended(run: RunView): CellState {
  const ok = run.status === RunStatus.OK;
  const took = run.startedAtMs > 0 ? ` in ${formatDuration(run.endedAtMs - run.startedAtMs)}` : "";
  const text = ok ? `Done${took}` : statusText(run.status);
  return { name: ok ? "ok" : "failed", text, tone: ok ? "ok" : "bad", active: false };
}
