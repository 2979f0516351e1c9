/** Questions to the kernel that wait for their answers, by number. */
import { Trouble } from "../../../shared/api/problem";

const PATIENCE_MS = 10_000;

export class Pending {
  readonly #waiting = new Map<bigint, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #last = 0n;

  ask<T>(send: (requestId: bigint) => void): Promise<T> {
    this.#last += 1n;
    const requestId = this.#last;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(
      () => this.refuse(requestId, new Trouble("The kernel is busy and did not answer.")),
      PATIENCE_MS,
    );
    this.#waiting.set(requestId, { resolve, reject });
    try {
      send(requestId);
    } catch (error) {
      this.refuse(requestId, error instanceof Error ? error : new Error(String(error)));
    }
    return promise.finally(() => {
      clearTimeout(timer);
    });
  }

  answer(requestId: bigint, value: unknown): void {
    this.#waiting.get(requestId)?.resolve(value as never);
    this.#waiting.delete(requestId);
  }

  refuse(requestId: bigint, error: Error): boolean {
    this.#waiting.get(requestId)?.reject(error);
    return this.#waiting.delete(requestId);
  }

  refuseAll(error: Error): void {
    for (const requestId of [...this.#waiting.keys()]) this.refuse(requestId, error);
  }
}
