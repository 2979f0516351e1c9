/**
 * A notebook's session, live: keeps the socket attached, applies the stream, runs cells.
 *
 * - What it knows is one immutable view, told to subscribers at most once per frame of the screen.
 * - Programs are compiled and sent one after another, because the runtime takes only rising numbers.
 * - A lost socket is attached again by itself and the stream goes on after the last position; another boot of the runtime replays all.
 */
import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import {
  type Attached,
  type CompleteReply,
  type InspectReply,
  type KernelSpec,
  type RuntimeFrame,
  CancelQueuedSchema,
  CompleteSchema,
  InputReplySchema,
  InspectSchema,
  InterruptSchema,
  KernelPhase,
  RestartKernelSchema,
  ResumeSchema,
  StartKernelSchema,
  StopKernelSchema,
} from "../../../gen/spinapis/runtime/v1/frames_pb";
import { type Problem, Trouble, problemOf } from "../../../shared/api/problem";
import { sameBytes, toHex } from "../../../shared/bytes";
import { type Attachment, attach, troubleOf } from "./attach";
import type { SessionCalls, SessionIdentity } from "./calls";
import { Carrier } from "./carrier";
import { type ClientBody, type Dial, FrameSocket, socketUrl } from "./frame-socket";
import { Pending } from "./pending";
import { type RunOutcome, type Submission, Submissions } from "./submissions";
import { type SessionState, NEW_SESSION, answered, applyFrame, withKernel } from "./stream";

export type LinkPhase = "connecting" | "attached" | "waiting" | "held" | "stopped";

export interface SessionView {
  readonly link: LinkPhase;
  /** Why it is not attached, or what the runtime complained about last. */
  readonly problem: Problem | undefined;
  readonly caughtUp: boolean;
  readonly kernels: readonly KernelSpec[];
  readonly warnings: readonly string[];
  readonly stream: SessionState;
  readonly submissions: Readonly<Record<string, Submission>>;
}

export interface CellOrder {
  cellId: string;
  cellType: string;
  source: string;
  fieldsJson: string;
  stopOnError: boolean;
}

export interface LiveSessionOptions {
  identity: SessionIdentity;
  kernelName: string;
  calls: SessionCalls;
  dial: Dial;
  /** Runs an act before the screen is drawn next; tests run it at once. */
  schedule?: (act: () => void) => void;
  pause?: (ms: number) => Promise<void>;
}

const RECONNECT_MS = [200, 500, 1000, 2000, 5000, 10_000];
const PATIENCE_MS = 60_000;
const TRUST_CHECK_MS = 15 * 60_000;
const TRUST_MARGIN_MS = 6 * 3_600_000;

export class LiveSession {
  readonly identity: SessionIdentity;
  #view: SessionView = {
    link: "connecting",
    problem: undefined,
    caughtUp: false,
    kernels: [],
    warnings: [],
    stream: NEW_SESSION,
    submissions: {},
  };
  readonly #options: LiveSessionOptions;
  readonly #listeners = new Set<() => void>();
  readonly #carrier: Carrier;
  readonly #submissions: Submissions;
  readonly #pending = new Pending();
  #socket: FrameSocket | undefined;
  #attachment: Attachment | undefined;
  #lastBoot: Uint8Array | undefined;
  #sameBoot = false;
  #attempt = 0;
  #held = false;
  #stopped = false;
  #told = true;
  #trustTimer: ReturnType<typeof setInterval> | undefined;
  #wake: (() => void) | undefined;

  constructor(options: LiveSessionOptions) {
    this.identity = options.identity;
    this.#options = options;
    this.#carrier = new Carrier({
      uploadOutputs: (nonce, outputs) => options.calls.uploadOutputs(this.identity, nonce, outputs),
      uploadReceipts: (receipts) => options.calls.uploadReceipts(this.identity, receipts),
      acknowledge: (receiptAck) => {
        if (this.#socket?.isOpen) this.#socket.send({ case: "receiptAck", value: receiptAck });
      },
      congested: (yes) => {
        this.#hold(yes);
      },
      report: (error) => {
        this.#update({ problem: problemOf(error) });
      },
      pause: this.#pause,
    });
    this.#submissions = new Submissions({
      compile: (order) => this.#compile(order),
      send: (sealed) => {
        this.#send({ case: "sealed", value: sealed });
      },
      changed: (submissions) => {
        this.#update({ submissions });
      },
    });
  }

  get view(): SessionView {
    return this.#view;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  start(): void {
    this.#trustTimer = setInterval(() => void this.#refreshTrust(), TRUST_CHECK_MS);
    void this.#keepAttached();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#trustTimer);
    this.#carrier.stop();
    this.#socket?.close();
    this.#wake?.();
    this.#update({ link: "stopped" });
  }

  /** Tries again at once instead of waiting. */
  reconnect(): void {
    this.#attempt = 0;
    this.#wake?.();
  }

  /** Settles when the run has ended, was refused, or could not be sent. */
  run(order: CellOrder): Promise<RunOutcome> {
    return this.#submissions.submit(order);
  }

  interrupt(clearQueue: boolean): void {
    this.#send({ case: "interrupt", value: create(InterruptSchema, { clearQueue }) });
  }

  restart(): void {
    const body: ClientBody =
      this.#view.stream.kernel.phase === KernelPhase.IDLE || this.#view.stream.kernel.phase === KernelPhase.BUSY
        ? { case: "restartKernel", value: create(RestartKernelSchema) }
        : { case: "startKernel", value: create(StartKernelSchema, { kernelName: this.#options.kernelName }) };
    this.#send(body);
  }

  stopKernel(): void {
    this.#send({ case: "stopKernel", value: create(StopKernelSchema) });
  }

  cancelQueued(runKey: string): void {
    const nonce = this.#view.stream.runs[runKey]?.nonce;
    if (nonce) this.#send({ case: "cancelQueued", value: create(CancelQueuedSchema, { nonce }) });
  }

  answer(requestId: string, value: string): void {
    this.#send({ case: "inputReply", value: create(InputReplySchema, { requestId, value }) });
    this.#update({ stream: answered(this.#view.stream, requestId) });
  }

  complete(code: string, cursor: number): Promise<CompleteReply> {
    return this.#pending.ask<CompleteReply>((requestId) => {
      this.#send({ case: "complete", value: create(CompleteSchema, { requestId, code, cursor }) });
    });
  }

  inspect(code: string, cursor: number): Promise<InspectReply> {
    return this.#pending.ask<InspectReply>((requestId) => {
      this.#send({ case: "inspect", value: create(InspectSchema, { requestId, code, cursor, detailLevel: 0 }) });
    });
  }

  /** Fetches the newest credentials for the runtime: after a connection was changed. */
  async syncCredentials(): Promise<void> {
    if (!this.#attachment) return;
    const sealed = await this.#options.calls.credentialBundle(this.identity, this.#attachment);
    if (sealed) this.#send({ case: "sealed", value: sealed });
  }

  async #keepAttached(): Promise<void> {
    while (!this.#stopped) {
      if (this.#held) {
        this.#update({ link: "held" });
        await this.#sleep(60_000);
        continue;
      }
      try {
        await this.#attachOnce();
      } catch (error) {
        this.#update({ link: "waiting", problem: problemOf(error) });
      }
      this.#socket?.close();
      this.#attachment = undefined;
      this.#pending.refuseAll(new Trouble("The runtime is not connected."));
      if (!this.#stopped && !this.#held) await this.#waitToReconnect();
    }
  }

  async #attachOnce(): Promise<void> {
    this.#update({ link: "connecting" });
    const { calls, dial } = this.#options;
    const [credentials, stored] = await Promise.all([
      calls.credentials(this.identity),
      calls.storedFrames(this.identity).catch(() => ({})),
    ]);
    this.#carrier.knows(stored);
    const socket = new FrameSocket(dial, socketUrl(this.identity.runtimeUrl));
    this.#socket = socket;
    const attachment = await attach(socket, credentials);
    this.#attachment = attachment;
    this.#begin(socket, attachment);
    await socket.closed;
    if (!this.#stopped) this.#update({ link: "waiting" });
  }

  #begin(socket: FrameSocket, { attached, hello }: Attachment): void {
    this.#sameBoot = this.#lastBoot !== undefined && sameBytes(this.#lastBoot, hello.bootId);
    this.#lastBoot = hello.bootId;
    this.#attempt = 0;
    const stream = this.#sameBoot ? this.#view.stream : NEW_SESSION;
    this.#update({
      link: "attached",
      problem: undefined,
      caughtUp: false,
      kernels: attached.kernels,
      warnings: attached.warnings,
      stream: attached.kernel ? withKernel(stream, attached.kernel) : stream,
    });
    socket.listen((frame) => {
      this.#take(frame);
    });
    socket.send({ case: "resume", value: create(ResumeSchema, { position: stream.position }) });
    this.#startKernel(attached);
    void this.syncCredentials().catch((error: unknown) => {
      this.#update({ problem: problemOf(error) });
    });
  }

  #startKernel(attached: Attached): void {
    const phase = attached.kernel?.phase ?? KernelPhase.NONE;
    if (phase !== KernelPhase.NONE && phase !== KernelPhase.UNSPECIFIED) return;
    this.#send({ case: "startKernel", value: create(StartKernelSchema, { kernelName: this.#options.kernelName }) });
  }

  #take(frame: RuntimeFrame): void {
    const { body } = frame;
    switch (body.case) {
      case "outputs":
        if (frame.position > this.#view.stream.position) this.#carrier.takeOutputs(body.value);
        this.#update({ stream: applyFrame(this.#view.stream, frame) });
        return;
      case "runState":
      case "kernelState":
      case "inputRequest":
        this.#update({ stream: applyFrame(this.#view.stream, frame) });
        this.#submissions.follow(this.#view.stream);
        return;
      case "receipts":
        this.#carrier.takeReceipts(body.value.receipts);
        return;
      case "resumed":
        this.#update({ caughtUp: true });
        this.#submissions.resume(this.#view.stream, this.#sameBoot);
        return;
      case "completeReply":
      case "inspectReply":
      case "kernelReply":
        this.#pending.answer(body.value.requestId, body.value);
        return;
      case "error":
        this.#complain(body.value);
        return;
      case "enrolRequest":
      case "paired":
      case "hello":
      case "attached":
      case "trustAccepted":
      case "bundleAccepted":
      case undefined:
        return;
      default:
        body satisfies never;
    }
  }

  #complain(error: Parameters<typeof troubleOf>[0]): void {
    const trouble = troubleOf(error);
    if (error.requestId > 0n && this.#pending.refuse(error.requestId, trouble)) return;
    if (error.ciphertextDigest.length > 0 && this.#submissions.refuse(toHex(error.ciphertextDigest), trouble)) return;
    if (error.reason === ErrorReason.POSITION_UNKNOWN) {
      // What this page has seen is no longer kept there: begin again with all that is.
      this.#update({ stream: withoutPast(this.#view.stream), caughtUp: false });
      this.#send({ case: "resume", value: create(ResumeSchema, { position: 0n }) });
      return;
    }
    if (error.reason === ErrorReason.TRUST_EXPIRED) void this.#refreshTrust(true);
    this.#update({ problem: problemOf(trouble) });
  }

  async #compile(order: CellOrder): Promise<{ sealed: Uint8Array; ciphertextDigest: Uint8Array }> {
    await this.#until(() => this.#view.link === "attached" && this.#view.caughtUp, "The runtime is not connected.");
    await this.#kernelReady();
    const attachment = this.#attachment;
    if (!attachment) throw new Trouble("The runtime is not connected.", "Run the cell again.");
    const { kernel } = this.#view.stream;
    return this.#options.calls.compile(this.identity, attachment, {
      cellId: order.cellId,
      cell: { cellType: order.cellType, source: order.source, fieldsJson: order.fieldsJson },
      kernelEpoch: kernel.epoch,
      kernelLanguage: kernel.language,
      stopOnError: order.stopOnError,
    });
  }

  /** A program names its kernel's epoch, so the kernel must have one. */
  async #kernelReady(): Promise<void> {
    const asleep = [KernelPhase.NONE, KernelPhase.STOPPED, KernelPhase.DEAD, KernelPhase.UNSPECIFIED];
    if (asleep.includes(this.#view.stream.kernel.phase)) {
      this.#send({ case: "startKernel", value: create(StartKernelSchema, { kernelName: this.#options.kernelName }) });
    }
    const running = [KernelPhase.IDLE, KernelPhase.BUSY];
    await this.#until(() => running.includes(this.#view.stream.kernel.phase), "The kernel did not start.");
  }

  /** Waits for what a connection or a start brings about; gives up when the link has failed, or after a while. */
  async #until(reached: () => boolean, complaint: string): Promise<void> {
    for (let waited = 0; !reached(); waited += 50) {
      const failed = this.#view.link === "waiting" || this.#view.link === "stopped";
      if (failed || waited > PATIENCE_MS) {
        const because = this.#view.problem ? ` ${this.#view.problem.text}` : "";
        throw new Trouble(
          complaint + because,
          this.#view.problem?.advice || "Wait until it is there and run the cell again.",
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #refreshTrust(now = false): Promise<void> {
    const attached = this.#attachment?.attached;
    if (!attached || !this.#socket?.isOpen) return;
    if (!now && Number(attached.trustExpiresAtMs) - Date.now() > TRUST_MARGIN_MS) return;
    try {
      const value = await this.#options.calls.trustDocuments(this.identity);
      this.#send({ case: "trustDocuments", value });
    } catch (error) {
      this.#update({ problem: problemOf(error) });
    }
  }

  #send(body: ClientBody): void {
    if (!this.#socket) throw new Trouble("The runtime is not connected.");
    this.#socket.send(body);
  }

  #hold(yes: boolean): void {
    this.#held = yes;
    if (yes) this.#socket?.close();
    this.#wake?.();
  }

  async #waitToReconnect(): Promise<void> {
    const ms = RECONNECT_MS[Math.min(this.#attempt, RECONNECT_MS.length - 1)] ?? 10_000;
    this.#attempt += 1;
    await this.#sleep(ms * (0.75 + Math.random() / 2));
  }

  async #sleep(ms: number): Promise<void> {
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    await Promise.race([this.#pause(ms), woken]);
    this.#wake = undefined;
  }

  #pause = (ms: number): Promise<void> =>
    this.#options.pause?.(ms) ?? new Promise((resolve) => setTimeout(resolve, ms));

  #update(change: Partial<SessionView>): void {
    this.#view = { ...this.#view, ...change };
    if (!this.#told) return;
    this.#told = false;
    const tell = (): void => {
      this.#told = true;
      for (const listener of this.#listeners) listener();
    };
    (this.#options.schedule ?? onNextFrame)(tell);
  }
}

function withoutPast(state: SessionState): SessionState {
  return { ...NEW_SESSION, kernel: state.kernel };
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
