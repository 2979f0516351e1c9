/**
 * A session as its stream tells it: (state, frame) -> state, nothing else.
 *
 * - Positions count 1, 2, 3, …: a frame that was applied before is ignored, so that a replay repeats nothing.
 * - A cell shows the outputs of its newest run; they are replaced when a run starts, not when it is queued.
 * - A question of the kernel stays until its run goes on: writes something, asks the next one, or ends. Nothing else says that an answer came.
 */
import {
  type InputRequest,
  type KernelState,
  type OutputBatch,
  type RunState,
  type RuntimeFrame,
  KernelPhase,
  RunPhase,
} from "../../../gen/spinapis/runtime/v1/frames_pb";
import type { RunNonce } from "../../../gen/spinapis/envelope/v1/run_pb";
import { RunStatus } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { toHex } from "../../../shared/bytes";
import {
  type CellOutputs,
  NO_OUTPUTS,
  applyDisplayUpdate,
  applyMessage,
  displayUpdateOf,
  messageOf,
} from "../../outputs/model";

export interface RunView {
  readonly key: string;
  readonly nonce: RunNonce | undefined;
  readonly cellId: string;
  readonly phase: RunPhase;
  readonly status: RunStatus;
  readonly truncated: boolean;
  readonly reason: ErrorReason;
  readonly message: string;
  readonly queuedAtMs: number;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly userId: string;
  /** SHA-256 of the sealed program, in hexadecimal: how the sender knows its own run. */
  readonly ciphertext: string;
}

export interface CellView {
  readonly runKey: string;
  readonly outputs: CellOutputs;
}

export interface KernelView {
  readonly phase: KernelPhase;
  readonly name: string;
  readonly epoch: bigint;
  readonly language: string;
  readonly message: string;
  readonly queueLength: number;
  /** Whose code came into it, in the order in which they came. */
  readonly userIds: readonly string[];
}

export interface Question {
  readonly request: InputRequest;
  /** "sent": it is on its way. "theirs": the runtime takes it from somebody else alone. */
  readonly answer: "open" | "sent" | "theirs";
}

export interface SessionState {
  readonly position: bigint;
  readonly kernel: KernelView;
  readonly runs: Readonly<Record<string, RunView>>;
  readonly cells: Readonly<Record<string, CellView>>;
  /** The newest run of each cell, queued ones included. */
  readonly latest: Readonly<Record<string, string>>;
  readonly questions: readonly Question[];
}

const NO_KERNEL: KernelView = {
  phase: KernelPhase.NONE,
  name: "",
  epoch: 0n,
  language: "",
  message: "",
  queueLength: 0,
  userIds: [],
};

export const NEW_SESSION: SessionState = {
  position: 0n,
  kernel: NO_KERNEL,
  runs: {},
  cells: {},
  latest: {},
  questions: [],
};

export function applyFrame(state: SessionState, frame: RuntimeFrame): SessionState {
  if (frame.position === 0n || frame.position <= state.position) return state;
  const moved = { ...state, position: frame.position };
  switch (frame.body.case) {
    case "outputs":
      return withOutputs(moved, frame.body.value);
    case "runState":
      return withRun(moved, frame.body.value);
    case "kernelState":
      return withKernel(moved, frame.body.value);
    case "inputRequest":
      return withQuestion(moved, frame.body.value);
    case "enrolRequest":
    case "paired":
    case "hello":
    case "attached":
    case "receipts":
    case "completeReply":
    case "inspectReply":
    case "resumed":
    case "error":
    case "kernelReply":
    case "trustAccepted":
    case "bundleAccepted":
    case undefined:
      return moved;
    default:
      frame.body satisfies never;
      return moved;
  }
}

/** The kernel as Attached describes it: true at once, before the stream was replayed. */
export function withKernel(state: SessionState, kernel: KernelState): SessionState {
  const view: KernelView = {
    phase: kernel.phase,
    name: kernel.kernelName,
    epoch: kernel.kernelEpoch,
    language: kernel.language,
    message: kernel.message,
    queueLength: kernel.queueLength,
    userIds: kernel.userIds,
  };
  return { ...state, kernel: view };
}

function withQuestion(state: SessionState, request: InputRequest): SessionState {
  const { questions } = withoutQuestions(state, runKey(request.nonce));
  return { ...state, questions: [...questions, { request, answer: "open" }] };
}

export function answered(state: SessionState, requestId: string): SessionState {
  return withAnswers(state, (question) => (question.request.requestId === requestId ? "sent" : question.answer));
}

/** What was on its way over a connection that is lost may not have come: it is asked again. */
export function askedAgain(state: SessionState): SessionState {
  return withAnswers(state, ({ answer }) => (answer === "sent" ? "open" : answer));
}

/** An error that names nothing else may speak of the answer that is on its way: one run asks at a time. */
export function answerRefused(state: SessionState, reason: ErrorReason): SessionState {
  switch (reason) {
    case ErrorReason.INPUT_REFUSED:
      return withAnswers(state, ({ answer }) => (answer === "sent" ? "theirs" : answer));
    case ErrorReason.NOT_FOUND:
      // It was answered by then, or is over: its run goes on.
      return state;
    default:
      return askedAgain(state);
  }
}

function withAnswers(state: SessionState, answerOf: (question: Question) => Question["answer"]): SessionState {
  if (state.questions.every((question) => answerOf(question) === question.answer)) return state;
  return { ...state, questions: state.questions.map((question) => ({ ...question, answer: answerOf(question) })) };
}

export function runKey(nonce: RunNonce | undefined): string {
  return nonce ? `${toHex(nonce.bootId)}.${nonce.kernelEpoch}.${nonce.seq}` : "";
}

function withRun(state: SessionState, run: RunState): SessionState {
  const key = runKey(run.nonce);
  const before = state.runs[key];
  const at = Number(run.timeMs);
  const view: RunView = {
    key,
    nonce: run.nonce,
    cellId: run.cellId,
    phase: run.phase,
    status: run.status,
    truncated: run.truncated,
    reason: run.reason,
    message: run.message,
    queuedAtMs: before?.queuedAtMs ?? at,
    startedAtMs: run.phase === RunPhase.RUNNING ? at : (before?.startedAtMs ?? 0),
    endedAtMs: run.phase === RunPhase.ENDED || run.phase === RunPhase.REJECTED ? at : 0,
    userId: run.userId,
    ciphertext: toHex(run.ciphertextDigest),
  };
  const next: SessionState = {
    ...state,
    runs: { ...state.runs, [key]: view },
    latest: before ? state.latest : { ...state.latest, [run.cellId]: key },
  };
  return afterPhase(next, view);
}

function afterPhase(state: SessionState, run: RunView): SessionState {
  switch (run.phase) {
    case RunPhase.RUNNING:
      return { ...state, cells: { ...state.cells, [run.cellId]: { runKey: run.key, outputs: NO_OUTPUTS } } };
    case RunPhase.ENDED:
    case RunPhase.REJECTED:
      return withoutQuestions(state, run.key);
    case RunPhase.QUEUED:
    case RunPhase.UNSPECIFIED:
      return state;
    default:
      run.phase satisfies never;
      return state;
  }
}

function withOutputs(state: SessionState, batch: OutputBatch): SessionState {
  const key = runKey(batch.nonce);
  let cells = state.cells;
  let outputs = cellOutputs(cells, batch.cellId, key);
  for (const output of batch.outputs) {
    const message = messageOf(output);
    const update = displayUpdateOf(message);
    if (update) {
      const before = put(cells, batch.cellId, key, outputs);
      cells = Object.fromEntries(
        Object.entries(before).map(([id, cell]) => [
          id,
          { ...cell, outputs: applyDisplayUpdate(cell.outputs, update) },
        ]),
      );
      outputs = cellOutputs(cells, batch.cellId, key);
    } else {
      outputs = applyMessage(outputs, message);
    }
  }
  return withoutQuestions({ ...state, cells: put(cells, batch.cellId, key, outputs) }, key);
}

function cellOutputs(cells: SessionState["cells"], cellId: string, key: string): CellOutputs {
  const cell = cells[cellId];
  return cell?.runKey === key ? cell.outputs : NO_OUTPUTS;
}

function put(
  cells: SessionState["cells"],
  cellId: string,
  key: string,
  outputs: CellOutputs,
): Record<string, CellView> {
  const before = cells[cellId];
  // Outputs of no run, and late ones of a run that a newer one has replaced, are shown nowhere.
  const superseded = before !== undefined && before.runKey !== key && isNewer(before.runKey, key);
  if (!cellId || !key || superseded || before?.outputs === outputs) return cells;
  return { ...cells, [cellId]: { runKey: key, outputs } };
}

function isNewer(a: string, b: string): boolean {
  const [bootA, ...countsA] = a.split(".");
  const [bootB, ...countsB] = b.split(".");
  if (bootA !== bootB) return false;
  const [epochA = 0, seqA = 0] = countsA.map(Number);
  const [epochB = 0, seqB = 0] = countsB.map(Number);
  return epochA > epochB || (epochA === epochB && seqA > seqB);
}

function withoutQuestions(state: SessionState, key: string): SessionState {
  const others = state.questions.filter(({ request }) => runKey(request.nonce) !== key);
  return others.length === state.questions.length ? state : { ...state, questions: others };
}
