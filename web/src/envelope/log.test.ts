// @vitest-environment node
import { describe, expect, it } from "vitest";

import { hex } from "./bytes";
import { OutputChain } from "./chain";
import { VerifyKey } from "./keys";
import { leafHash, verifyConsistency, verifyInclusion } from "./merkle";
import { openNote, originOf } from "./note";
import { bytes, type Cases, expectRefused, vectors } from "./vectors.testing";

interface Inclusion {
  name: string;
  leaf_hash: string;
  index: number;
  size: number;
  proof: string[];
  root: string;
}
interface Consistency {
  name: string;
  old: number;
  new: number;
  old_root: string;
  new_root: string;
  proof: string[];
}
interface Note {
  name: string;
  note: string;
  origin: string;
}
const log = vectors<{
  leaves: string[];
  roots: string[];
  inclusion: Cases<Inclusion, Inclusion>;
  consistency: Cases<Consistency, Consistency>;
  notes: Cases<Note & { size: number; root_hash: string }, Note> & { keys: string[] };
}>("logs");
const { chain } = vectors<{ chain: { kind: number; body: string; frames: number; digest: string }[] }>("formats");

const included = (c: Inclusion) => verifyInclusion(bytes(c.leaf_hash), c.index, c.size, c.proof.map(bytes), bytes(c.root));
const consistent = (c: Consistency) => verifyConsistency(c.old, bytes(c.old_root), c.new, bytes(c.new_root), c.proof.map(bytes));
const opened = async ({ note, origin }: Note) => openNote(note, await Promise.all(log.notes.keys.map((key) => VerifyKey.of(bytes(key)))), origin);

describe("inclusion proofs", () => {
  it.each(log.inclusion.accepted)("$name is accepted", included);
  it.each(log.inclusion.refused)("$name is refused", (testCase) => expectRefused(() => included(testCase)));

  it("are about hashes of leaves", async () => {
    expect(hex(await leafHash(bytes(log.leaves[0] ?? "")))).toBe(log.roots[1]);
  });
});

describe("consistency proofs", () => {
  it.each(log.consistency.accepted)("$name is accepted", consistent);
  it.each(log.consistency.refused)("$name is refused", (testCase) => expectRefused(() => consistent(testCase)));
});

describe("checkpoints", () => {
  it.each(log.notes.accepted)("$name is accepted", async (testCase) => {
    const checkpoint = await opened(testCase);
    expect({ size: checkpoint.size, root: hex(checkpoint.rootHash) }).toEqual({ size: testCase.size, root: testCase.root_hash });
    expect(originOf(bytes(testCase.origin.slice(5)))).toBe(checkpoint.origin);
  });

  it.each(log.notes.refused)("$name is refused", (testCase) => expectRefused(() => opened(testCase)));

  it("are refused when they do not end", () => expectRefused(() => opened({ name: "", note: "x".repeat(70_000), origin: "spin/" })));
});

describe("the output chain", () => {
  it("has the value of the vectors after each output", async () => {
    const outputs = new OutputChain();
    for (const { kind, body, frames, digest } of chain) {
      await outputs.append(kind, bytes(body));
      expect([outputs.frames, hex(outputs.digest)]).toEqual([frames, digest]);
    }
  });

  it("refuses numbers that do not fit", async () => {
    await expectRefused(() => new OutputChain().append(256, new Uint8Array()));
    await expectRefused(() => new OutputChain(2 ** 32 - 1).append(1, new Uint8Array()));
  });
});
