/** The vectors that the Python half is tested with too: envelope/vectors. Bytes are in hexadecimal. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import { expect } from "vitest";

import { Refused } from "./refused";

export interface Cases<Accepted, Refused> {
  accepted: Accepted[];
  refused: Refused[];
}

export function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(resolve(import.meta.dirname, `../../../envelope/vectors/${name}.json`), "utf8")) as T;
}

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export async function expectRefused(attempt: () => Promise<unknown>): Promise<void> {
  const error = await attempt().then(
    () => "accepted",
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Refused);
  expect((error as Refused).message).toBe("OPEN_FAILED");
}
