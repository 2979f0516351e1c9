/**
 * Carries what the runtime hands over to the audit log: receipts in their order, outputs as they were framed.
 *
 * - One call at a time; outputs go in batches of less than 3 MiB, gathered while the call before is on its way.
 * - A call that fails is repeated with growing pauses. A call that the log refuses for good is dropped and reported: the log raises
 *   its own alarm about what is missing.
 * - When more waits than `HIGH`, the socket is closed until less than `LOW` waits: the runtime keeps the stream on its disk meanwhile.
 */
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import type { Output, OutputBatch } from "../../../gen/spinapis/runtime/v1/frames_pb";
import type { RunNonce } from "../../../gen/spinapis/envelope/v1/run_pb";
import { problemOf } from "../../../shared/api/problem";
import { runKey } from "./stream";
import type { StoredFrames } from "./calls";

export const BATCH_BYTES = 2_500_000;
export const HIGH = 32 * 1024 * 1024;
export const LOW = 8 * 1024 * 1024;
const PAUSES_MS = [500, 1000, 2000, 5000, 10_000, 30_000];

interface Collaborators {
  uploadOutputs(nonce: RunNonce, outputs: Output[]): Promise<void>;
  uploadReceipts(receipts: Uint8Array[]): Promise<Uint8Array>;
  acknowledge(receiptAck: Uint8Array): void;
  /** More or less than a socket should go on with. */
  congested(yes: boolean): void;
  report(error: unknown): void;
  pause(ms: number): Promise<void>;
}

interface Waiting {
  nonce: RunNonce;
  key: string;
  outputs: Output[];
  bytes: number;
}

export class Carrier {
  readonly #with: Collaborators;
  #outputs: Waiting[] = [];
  #receipts: Uint8Array[] = [];
  #bytes = 0;
  #stored: Record<string, number> = {};
  #busy: Promise<void> | undefined;
  #congested = false;
  #stopped = false;

  constructor(collaborators: Collaborators) {
    this.#with = collaborators;
  }

  /** What the log has already; a replay of it is not carried again. */
  knows(stored: StoredFrames): void {
    for (const [key, frames] of Object.entries(stored)) this.#stored[key] = Math.max(this.#stored[key] ?? 0, frames);
  }

  takeOutputs(batch: OutputBatch): void {
    if (!batch.nonce) return;
    const key = runKey(batch.nonce);
    const known = this.#stored[key] ?? 0;
    // Index 0 marks what came after the run had ended: it belongs to no chain.
    const fresh = batch.outputs.filter((output) => output.index > known);
    const last = fresh.at(-1);
    if (!last) return;
    this.#stored[key] = last.index;
    for (const output of fresh) this.#push(batch.nonce, key, output);
    this.#measure();
    this.#work();
  }

  takeReceipts(receipts: Uint8Array[]): void {
    this.#receipts.push(...receipts);
    this.#work();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Settles when nothing waits. */
  async drained(): Promise<void> {
    await this.#busy;
  }

  #push(nonce: RunNonce, key: string, output: Output): void {
    const size = output.body.length + 32;
    const last = this.#outputs.at(-1);
    if (last && last.key === key && last.bytes + size <= BATCH_BYTES && this.#outputs.length > (this.#busy ? 1 : 0)) {
      last.outputs.push(output);
      last.bytes += size;
    } else {
      this.#outputs.push({ nonce, key, outputs: [output], bytes: size });
    }
    this.#bytes += size;
  }

  #work(): void {
    this.#busy ??= this.#carry().finally(() => {
      this.#busy = undefined;
      if (!this.#stopped && (this.#outputs.length > 0 || this.#receipts.length > 0)) this.#work();
    });
  }

  async #carry(): Promise<void> {
    // A moment's wait gathers what arrives together.
    await this.#with.pause(50);
    while (!this.#stopped && (this.#outputs.length > 0 || this.#receipts.length > 0)) {
      const next = this.#outputs[0];
      if (next) {
        await this.#persist(() => this.#with.uploadOutputs(next.nonce, next.outputs));
        this.#outputs.shift();
        this.#bytes -= next.bytes;
        this.#measure();
      } else {
        await this.#carryReceipts();
      }
    }
  }

  async #carryReceipts(): Promise<void> {
    const receipts = this.#receipts.splice(0, 500);
    const ack = await this.#persist(() => this.#with.uploadReceipts(receipts));
    if (ack && ack.length > 0) this.#with.acknowledge(ack);
  }

  async #persist<T>(call: () => Promise<T>): Promise<T | undefined> {
    for (let attempt = 0; !this.#stopped; attempt += 1) {
      try {
        return await call();
      } catch (error) {
        if (!mayPass(problemOf(error).reason)) {
          this.#with.report(error);
          return undefined;
        }
        await this.#with.pause(PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)] ?? 30_000);
      }
    }
    return undefined;
  }

  #measure(): void {
    const congested = this.#congested ? this.#bytes > LOW : this.#bytes > HIGH;
    if (congested === this.#congested) return;
    this.#congested = congested;
    this.#with.congested(congested);
  }
}

function mayPass(reason: ErrorReason): boolean {
  return reason === ErrorReason.UNAVAILABLE || reason === ErrorReason.RATE_LIMITED || reason === ErrorReason.INTERNAL;
}
