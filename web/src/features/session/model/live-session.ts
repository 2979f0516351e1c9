/**
 * A notebook's session, live: applies the stream, runs cells, carries what the log must have.
 *
 * - Programs are compiled and sent one after another, because the runtime takes only rising numbers.
 * - Programs wait until the log's proof and the credentials are on their way: the runtime refuses them before. Nothing else waits for it.
 * - After a lost socket the stream goes on after the last position; another boot of the runtime is replayed from its start.
 */
import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import {
  type Error as RuntimeError,
  type RuntimeFrame,
  KernelPhase,
  ResumeSchema,
  TrustDocumentsSchema,
} from "../../../gen/spinapis/runtime/v1/frames_pb";
import { type Problem, Trouble, problemOf } from "../../../shared/api/problem";
import { toHex } from "../../../shared/bytes";
import { type Attachment, FatalTrouble, ofTheLog, troubleOf } from "./attach";
import type { CompiledRun, SessionCalls, SessionIdentity } from "./calls";
import { Carrier } from "./carrier";
import { type Dial, socketUrl } from "./frame-socket";
import { KernelCommands } from "./kernel-commands";
import { Link } from "./link";
import { Pending } from "./pending";
import { type Schedule, type SessionView, ViewStore } from "./session-view";
import { sleep } from "./sleep";
import { NEW_SESSION, answerRefused, answered, applyFrame, askedAgain, withKernel } from "./stream";
import { type CellOrder, type RunOutcome, Submissions } from "./submissions";

export interface LiveSessionOptions {
  identity: SessionIdentity;
  /** Empty: the runtime's default. */
  kernelName: string;
  calls: SessionCalls;
  dial: Dial;
  schedule?: Schedule;
  pause?: (ms: number) => Promise<void>;
}

const PATIENCE_MS = 60_000;
const TRUST_CHECK_MS = 15 * 60_000;
const TRUST_MARGIN_MS = 6 * 3_600_000;
const PROOF_RETRY_MS = 5000;
/** The receipt of a run's end comes a moment after its end. */
const RECEIPTS_FOLLOW_MS = 400;
const ASLEEP = new Set([KernelPhase.NONE, KernelPhase.STOPPED, KernelPhase.DEAD, KernelPhase.UNSPECIFIED]);
const AWAKE = new Set([KernelPhase.IDLE, KernelPhase.BUSY]);

export class LiveSession {
  readonly identity: SessionIdentity;
  readonly kernel: KernelCommands;
  readonly #calls: SessionCalls;
  readonly #store: ViewStore;
  readonly #link: Link;
  readonly #carrier: Carrier;
  readonly #submissions: Submissions;
  readonly #pending = new Pending();
  readonly #pause: (ms: number) => Promise<void>;
  #sameBoot = false;
  /** The first attempts at the log's proof and at the credentials on this connection. */
  #supplied: Promise<unknown> = Promise.resolve();
  /** Of the credentials that were brought over this connection, or were there. */
  #bundleVersion = 0n;
  #trustTimer: ReturnType<typeof setInterval> | undefined;

  constructor({ identity, kernelName, calls, dial, schedule, pause = sleep }: LiveSessionOptions) {
    this.identity = identity;
    this.#calls = calls;
    this.#pause = pause;
    this.#store = new ViewStore(schedule);
    this.#link = new Link({
      url: socketUrl(identity.runtimeUrl),
      dial,
      pause,
      credentials: () => this.#credentials(),
      phase: (link, problem) => {
        this.#store.update(problem ? { link, problem } : { link });
      },
      attached: (attachment, sameBoot) => {
        this.#begin(attachment, sameBoot);
      },
      frame: (frame) => {
        this.#take(frame);
      },
      lost: () => {
        this.#pending.refuseAll(new Trouble("The runtime is not connected."));
      },
      refused: (problem) => {
        this.stop(problem);
      },
    });
    this.kernel = new KernelCommands(
      (body) => {
        this.#link.send(body);
      },
      kernelName,
      this.#pending,
    );
    this.#carrier = new Carrier({
      uploadOutputs: (nonce, outputs) => calls.uploadOutputs(identity, nonce, outputs),
      uploadReceipts: (receipts) => calls.uploadReceipts(identity, receipts),
      acknowledge: (value) => {
        // Without a connection it is not lost: the runtime hands the receipts over again, and the log acknowledges them again.
        if (this.view.link === "attached") this.#link.send({ case: "receiptAck", value });
      },
      congested: (yes) => {
        this.#link.hold(yes);
      },
      report: this.#complain,
      pause,
    });
    this.#submissions = new Submissions({
      compile: (order, traceparent) => this.#compile(order, traceparent),
      send: (value, traceparent) => {
        this.#link.send({ case: "sealed", value }, traceparent);
      },
      changed: (submissions) => {
        this.#store.update({ submissions });
      },
      mend: (reason) => this.#mend(reason),
    });
  }

  get view(): SessionView {
    return this.#store.view;
  }

  get subscribe(): ViewStore["subscribe"] {
    return this.#store.subscribe;
  }

  start(): void {
    this.#trustTimer = setInterval(() => void this.#refreshTrust(TRUST_MARGIN_MS), TRUST_CHECK_MS);
    this.#link.start();
  }

  stop(problem?: Problem): void {
    clearInterval(this.#trustTimer);
    this.#carrier.stop();
    this.#link.stop(problem);
  }

  /** Waits until the log has what came so far, or the time is over: what is left then is carried by whoever attaches next. */
  async settle(ms: number): Promise<void> {
    const carried = this.#pause(RECEIPTS_FOLLOW_MS).then(() => this.#carrier.drained());
    await Promise.race([carried, this.#pause(ms)]);
  }

  /** Tries to attach at once instead of waiting. */
  reconnect(): void {
    this.#link.reconnect();
  }

  /** Settles when the run has ended, was refused, or could not be sent. */
  run(order: CellOrder): Promise<RunOutcome> {
    return this.#submissions.submit(order);
  }

  restart(): void {
    if (AWAKE.has(this.view.stream.kernel.phase)) this.kernel.restart();
    else this.kernel.start();
  }

  cancelQueued(key: string): void {
    const nonce = this.view.stream.runs[key]?.nonce;
    if (nonce) this.kernel.cancelQueued(nonce);
  }

  answer(requestId: string, value: string): void {
    try {
      this.kernel.answer(requestId, value);
      this.#store.update({ stream: answered(this.view.stream, requestId) });
    } catch (error) {
      // It stays open, to be answered when the runtime is there again.
      this.#complain(error);
    }
  }

  async #credentials() {
    const [credentials, stored] = await Promise.all([
      this.#calls.credentials(this.identity),
      // Without it everything is carried again, and the log takes what it has as it is.
      this.#calls.storedFrames(this.identity).catch(() => ({})),
    ]);
    this.#carrier.knows(stored);
    return credentials;
  }

  #begin(attachment: Attachment, sameBoot: boolean): void {
    const { attached } = attachment;
    this.#sameBoot = sameBoot;
    const stream = sameBoot ? this.view.stream : NEW_SESSION;
    this.#store.update({
      link: "attached",
      problem: undefined,
      caughtUp: false,
      kernels: attached.kernels,
      warnings: attached.warnings,
      trust: { expiresAtMs: Number(attached.trustExpiresAtMs), runsUntilMs: Number(attached.runsUntilMs) },
      stream: attached.kernel ? withKernel(stream, attached.kernel) : stream,
    });
    this.#link.send({ case: "resume", value: create(ResumeSchema, { position: stream.position }) });
    const phase = attached.kernel?.phase ?? KernelPhase.NONE;
    if (phase === KernelPhase.NONE || phase === KernelPhase.UNSPECIFIED) this.kernel.start();
    this.#bundleVersion = 0n;
    this.#supplied = Promise.all([this.#syncCredentials(), this.#proveLog(attachment)]);
  }

  #take(frame: RuntimeFrame): void {
    const { body } = frame;
    switch (body.case) {
      case "outputs":
        if (frame.position > this.view.stream.position) this.#carrier.takeOutputs(body.value);
        this.#store.update({ stream: applyFrame(this.view.stream, frame) });
        return;
      case "runState":
      case "kernelState":
      case "inputRequest":
        this.#store.update({ stream: applyFrame(this.view.stream, frame) });
        this.#submissions.follow(this.view.stream);
        return;
      case "receipts":
        this.#carrier.takeReceipts(body.value.receipts);
        return;
      case "resumed":
        this.#store.update({ caughtUp: true, stream: askedAgain(this.view.stream) });
        void this.#resubmit();
        return;
      case "completeReply":
      case "inspectReply":
      case "kernelReply":
        this.#pending.answer(body.value.requestId, body.value);
        return;
      case "trustAccepted": {
        const { expiresAtMs, runsUntilMs } = body.value;
        this.#store.update({ trust: { expiresAtMs: Number(expiresAtMs), runsUntilMs: Number(runsUntilMs) } });
        return;
      }
      case "error":
        this.#hear(body.value);
        return;
      case "enrolRequest":
      case "paired":
      case "hello":
      case "attached":
      case "bundleAccepted":
      case undefined:
        return;
      default:
        body satisfies never;
    }
  }

  #hear(error: RuntimeError): void {
    const trouble = troubleOf(error);
    if (error.requestId > 0n && this.#pending.refuse(error.requestId, trouble)) return;
    if (error.ciphertextDigest.length > 0 && this.#submissions.refuse(toHex(error.ciphertextDigest), trouble)) return;
    if (error.reason === ErrorReason.HELLO_STALE || ofTheLog(error)) {
      // Credentials that were sealed to a key that the runtime has replaced come with the next attachment. It also tells a proof that
      // another page's overtook from a log that was rewritten.
      this.#link.reattach();
      return;
    }
    if (error.reason === ErrorReason.POSITION_UNKNOWN) {
      // What this page has seen is no longer kept there: begin again with all that is.
      this.#store.update({ stream: { ...NEW_SESSION, kernel: this.view.stream.kernel }, caughtUp: false });
      this.#link.send({ case: "resume", value: create(ResumeSchema, { position: 0n }) });
      return;
    }
    if (error.reason === ErrorReason.TRUST_EXPIRED) void this.#refreshTrust(Infinity);
    this.#store.update({ stream: answerRefused(this.view.stream, error.reason) });
    // The question itself says whose it is.
    if (error.reason !== ErrorReason.INPUT_REFUSED) this.#complain(trouble);
  }

  async #compile(order: CellOrder, traceparent: string): Promise<CompiledRun> {
    await this.#until(() => this.view.link === "attached" && this.view.caughtUp, "The runtime is not connected.");
    await this.#awake();
    const { attachment } = this.#link;
    if (!attachment) throw new Trouble("The runtime is not connected.", "Run the cell again.");
    const { kernel } = this.view.stream;
    const compiled = await this.#calls.compile(this.identity, attachment, {
      cellId: order.cellId,
      cell: { cellType: order.cellType, source: order.source, fieldsJson: order.fieldsJson },
      kernelEpoch: kernel.epoch,
      kernelLanguage: kernel.language,
      stopOnError: order.stopOnError,
      bundleVersion: this.#bundleVersion,
      traceparent,
    });
    await this.#supplied;
    return compiled;
  }

  async #resubmit(): Promise<void> {
    const { attachment } = this.#link;
    await this.#supplied;
    if (attachment && this.#link.attachment === attachment) this.#submissions.resume(this.view.stream, this.#sameBoot);
  }

  async #proveLater(attachment: Attachment): Promise<void> {
    await this.#pause(PROOF_RETRY_MS);
    if (this.#link.attachment === attachment) await this.#proveLog(attachment);
  }

  /** Settles after the first attempt. While the log does not answer, further ones follow. */
  async #proveLog(attachment: Attachment): Promise<void> {
    try {
      const logProof = await this.#calls.logProof(this.identity, attachment.hello);
      if (logProof === undefined || this.#link.attachment !== attachment) return;
      this.#link.send({ case: "trustDocuments", value: create(TrustDocumentsSchema, { logProof }) });
    } catch (error) {
      if (this.#link.attachment !== attachment) return;
      if (error instanceof FatalTrouble) this.stop(problemOf(error));
      else void this.#proveLater(attachment);
    }
  }

  /** Starts the kernel where none runs. One that does not start says why: a policy that cannot be enforced, for example. */
  async #awake(): Promise<void> {
    const { kernel: before } = this.view.stream;
    const failed = (): boolean =>
      this.view.stream.kernel !== before && this.view.stream.kernel.phase === KernelPhase.DEAD;
    if (ASLEEP.has(before.phase)) this.kernel.start();
    await this.#until(() => AWAKE.has(this.view.stream.kernel.phase) || failed(), "The kernel did not start.");
    if (failed()) throw new Trouble("The kernel did not start.", this.view.stream.kernel.message);
  }

  /** Waits for what a connection or a start brings about; gives up when the link has failed, or after a while. */
  async #until(reached: () => boolean, complaint: string): Promise<void> {
    for (let waited = 0; !reached(); waited += 50) {
      const { link, problem } = this.view;
      if (link === "waiting" || link === "stopped" || waited > PATIENCE_MS) {
        throw new Trouble(
          problem ? `${complaint} ${problem.text}` : complaint,
          problem?.advice || "Wait until it is there and run the cell again.",
        );
      }
      await sleep(50);
    }
  }

  /** Settles when they were sent or could not be: then cells that use them are refused, with a reason of their own. */
  async #syncCredentials(): Promise<void> {
    const { attachment } = this.#link;
    if (!attachment) return;
    try {
      const { sealed, bundleVersion } = await this.#calls.credentialBundle(this.identity, attachment);
      if (this.#link.attachment !== attachment) return;
      if (sealed) this.#link.send({ case: "sealed", value: sealed });
      this.#bundleVersion = bundleVersion;
    } catch (error) {
      this.#complain(error);
    }
  }

  #mend(reason: ErrorReason): Promise<void> | undefined {
    switch (reason) {
      case ErrorReason.BUNDLE_STALE:
        return this.#supplied.then(() => this.#syncCredentials());
      case ErrorReason.TRUST_EXPIRED:
        return this.#refreshTrust(Infinity);
      case ErrorReason.KERNEL_EPOCH_STALE:
      case ErrorReason.KERNEL_TAINTED:
        return Promise.resolve();
      case ErrorReason.HELLO_STALE:
      case ErrorReason.LOG_UNPROVEN:
        return this.#attachAnew();
      default:
        return undefined;
    }
  }

  async #attachAnew(): Promise<void> {
    const { attachment } = this.#link;
    if (attachment) this.#link.reattach();
    for (let waited = 0; waited < PATIENCE_MS && this.view.link !== "stopped"; waited += 50) {
      if (this.#link.attachment && this.#link.attachment !== attachment) return;
      await sleep(50);
    }
  }

  /** Sends fresh documents when what the runtime has expires within the margin. */
  async #refreshTrust(marginMs: number): Promise<void> {
    const expiresAtMs = this.view.trust?.expiresAtMs;
    if (expiresAtMs === undefined || expiresAtMs - Date.now() > marginMs) return;
    // The credentials go first: a trust state may refuse those that the runtime has.
    await this.#syncCredentials().catch(this.#complain);
    try {
      this.#link.send({ case: "trustDocuments", value: await this.#calls.trustDocuments(this.identity) });
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain = (error: unknown): void => this.#store.update({ problem: problemOf(error) });
}
