import { create, toBinary } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, test } from "vitest";
import { OutputChain, leafHash, sign, signedDigest } from "../../../envelope";
import {
  type Entry,
  type Run,
  EntrySchema,
  HistoryService,
  LogService,
  RunSchema,
} from "../../../gen/spinapis/audit/v1/audit_pb";
import { EnrolmentService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { LogLeafSchema, ReceiptSchema, ReceiptType } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import type { Output } from "../../../gen/spinapis/runtime/v1/frames_pb";
import { randomBytes, sha256, toHex } from "../../../shared/bytes";
import { kept } from "../../../shared/kept";
import { nonce, printed } from "../../../testing/frames";
import { Installation, newKey } from "../../../testing/installation";
import { memoryTransport } from "../../../testing/transport";
import { runKey } from "../../session";
import { verifyRun } from "./verify-run";

const joined = (...parts: Uint8Array[]): Uint8Array<ArrayBuffer> => Uint8Array.from(parts.flatMap((part) => [...part]));
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
const RUN_ID = runKey(nonce(1));

/** A log of two entries about one run, the second with the receipt of its end. */
class Log {
  outputs: Output[] = [printed("one", 1), printed("two", 2)];
  entries: Entry[] = [];
  hashes: Uint8Array[] = [];
  note = "";

  static async of(spin: Installation, signer = spin.identity): Promise<Log> {
    const log = new Log();
    const chain = new OutputChain();
    for (const output of log.outputs) await chain.append(output.kind, output.body);
    const said = { type: ReceiptType.END, nonce: nonce(1), frames: 2, outputDigest: chain.digest };
    const receipt = await sign(ReceiptSchema, create(ReceiptSchema, said), signer);
    log.entries = [await entry(0n, "program.compiled"), await entry(1n, "receipt.end", receipt)];
    log.hashes = await Promise.all(log.entries.map(({ leaf }) => leafHash(leaf)));
    const rootHash = await sha256(joined(Uint8Array.of(1), ...log.hashes));
    log.note = await signedNote(spin, rootHash);
    return log;
  }

  verdict(spin: Installation) {
    const run: Run = create(RunSchema, {
      id: RUN_ID,
      nonce: nonce(1),
      runtimeId: toHex(spin.runtimeId),
      logWorkspaceId: toHex(spin.workspaceId),
    });
    const transport = memoryTransport((router) => {
      router.service(EnrolmentService, {
        listRootDocuments: async () => ({ rootDocuments: [await spin.rootDocument()] }),
        getRuntimeTrust: () => spin.trust(),
      });
      router.service(LogService, {
        getCheckpoint: () => ({ note: this.note, size: 2n }),
        listEntries: () => ({ entries: this.entries }),
        getInclusionProof: ({ index }) => ({ hashes: this.hashes.slice(index === 0n ? 1 : 0).slice(0, 1) }),
      });
      router.service(HistoryService, { listRunOutputs: () => ({ outputs: this.outputs }) });
    });
    return verifyRun(transport, toHex(spin.workspaceId), run);
  }
}

async function entry(index: bigint, type: string, receipt: Uint8Array = new Uint8Array()): Promise<Entry> {
  const [salt, bodyJson] = [randomBytes(16), '{"what":"happened"}'];
  const leaf = create(LogLeafSchema, {
    type,
    subjects: [`run:${RUN_ID}`],
    bodyCommitment: await sha256(joined(salt, utf8(bodyJson))),
    receiptDigest: receipt.length > 0 ? await signedDigest(receipt) : new Uint8Array(),
  });
  return create(EntrySchema, { index, leaf: toBinary(LogLeafSchema, leaf), salt, bodyJson, receipt });
}

async function signedNote(spin: Installation, rootHash: Uint8Array): Promise<string> {
  const origin = `spin/${toHex(spin.workspaceId)}`;
  const text = `${origin}\n2\n${base64(rootHash)}\n`;
  const hash = await sha256(joined(utf8(origin), Uint8Array.of(10, 1), spin.audit.publicKey));
  const signature = joined(hash.slice(0, 4), await spin.audit.sign(utf8(text)));
  return `${text}\n— ${origin} ${base64(signature)}\n`;
}

describe("verifying a run in the browser", () => {
  let spin: Installation;
  let log: Log;
  beforeEach(async () => {
    await kept.delete("root-digest");
    spin = await Installation.make();
    log = await Log.of(spin);
  });

  test("a true history verifies: entries, receipt and outputs", async () => {
    expect(await log.verdict(spin)).toMatchObject({
      included: true,
      treeSize: 2,
      outputs: { kind: "verified", frames: 2 },
      entries: [{ type: "program.compiled" }, { type: "receipt.end" }],
    });
  });

  test("an entry whose body was changed does not", async () => {
    for (const changed of log.entries) changed.bodyJson = '{"what":"did not"}';
    expect(await log.verdict(spin)).toMatchObject({ included: false });
  });

  test("an entry that is not in the tree does not", async () => {
    log.entries[0] = await entry(0n, "program.compiled");
    expect(await log.verdict(spin)).toMatchObject({ included: false });
  });

  test("a checkpoint that audit did not sign does not", async () => {
    log.note = await signedNote(await Installation.make(), randomBytes(32));
    expect(await log.verdict(spin)).toMatchObject({ included: false });
  });

  test("a receipt that the runtime did not sign does not", async () => {
    log = await Log.of(spin, await newKey());
    expect(await log.verdict(spin)).toMatchObject({ included: false });
  });

  test("outputs that were changed are seen", async () => {
    log.outputs = [printed("one", 1), printed("TWO", 2)];
    expect(await log.verdict(spin)).toMatchObject({ included: true, outputs: { kind: "different" } });
  });

  test("outputs that were held back are seen", async () => {
    log.outputs = log.outputs.slice(0, 1);
    expect(await log.verdict(spin)).toMatchObject({ included: true, outputs: { kind: "missing" } });
  });
});
