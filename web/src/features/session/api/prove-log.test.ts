import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, describe, expect, test } from "vitest";
import { leafHash } from "../../../envelope";
import { type GetConsistencyProofRequest, LogService } from "../../../gen/spinapis/audit/v1/audit_pb";
import { EnrolmentService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { randomBytes, sha256, toHex } from "../../../shared/bytes";
import { kept } from "../../../shared/kept";
import { currentRoot } from "../../../shared/trust/root";
import { Installation, newKey } from "../../../testing/installation";
import { memoryTransport } from "../../../testing/transport";
import { FatalTrouble } from "../model/attach";
import { proveLog } from "./prove-log";

const joined = (...parts: Uint8Array[]): Uint8Array<ArrayBuffer> => Uint8Array.from(parts.flatMap((part) => [...part]));
const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
const leaf = (text: string): Promise<Uint8Array> => leafHash(utf8(text));
const treeOf = (left: Uint8Array, right: Uint8Array) => sha256(joined(Uint8Array.of(1), left, right));

/** A child workspace's session on a runtime that another workspace enrolled, which holds the log's first entry. */
class Attached {
  readonly session = { workspaceId: toHex(randomBytes(16)), runtimeId: "" };
  readonly asked: GetConsistencyProofRequest[] = [];

  constructor(readonly spin: Installation) {
    this.session.runtimeId = toHex(spin.runtimeId);
  }

  get origin(): string {
    return `spin/${toHex(this.spin.workspaceId)}`;
  }

  async note(size: number, rootHash: Uint8Array, signer = this.spin.audit): Promise<string> {
    const text = `${this.origin}\n${size}\n${base64(rootHash)}\n`;
    const hash = await sha256(joined(utf8(this.origin), Uint8Array.of(10, 1), signer.publicKey));
    return `${text}\n— ${this.origin} ${base64(joined(hash.slice(0, 4), await signer.sign(utf8(text))))}\n`;
  }

  async prove(checkpoint: string, answer: () => { note: string; hashes: Uint8Array[] }) {
    const document = await this.spin.rootDocument();
    const transport = memoryTransport((router) => {
      router.service(EnrolmentService, { listRootDocuments: () => ({ rootDocuments: [document] }) });
      router.service(LogService, {
        getConsistencyProof: (request) => {
          this.asked.push(request);
          return answer();
        },
      });
    });
    // What is refused leaves the call for the root behind: it must find its pin there.
    await currentRoot(transport);
    return proveLog(transport, this.session, { homeId: this.spin.workspaceId, checkpoint: utf8(checkpoint) });
  }
}

describe("the log must continue the one that the runtime has seen", () => {
  let page: Attached;
  let first: Uint8Array;
  let second: Uint8Array;
  let held: string;
  beforeEach(async () => {
    await kept.delete("root-digest");
    page = new Attached(await Installation.make());
    [first, second] = [await leaf("first"), await leaf("second")];
    held = await page.note(1, first);
  });
  const failing = (code: Code) => (): never => {
    throw new ConnectError("no", code);
  };

  test("a log that has grown is asked for its proof, which goes to the runtime", async () => {
    const note = await page.note(2, await treeOf(first, second));
    const proof = await page.prove(held, () => ({ note, hashes: [second] }));
    expect(page.asked).toMatchObject([{ ...page.session, fromSize: 1n, toSize: 0n }]);
    expect(proof).toMatchObject({ fromSize: 1n, note: utf8(note), hashes: [second] });
  });

  test("a log that has not grown is proved by its note alone", async () => {
    expect(await page.prove(held, () => ({ note: held, hashes: [] }))).toMatchObject({ fromSize: 1n, hashes: [] });
  });

  test("a checkpoint whose key audit has retired since is still continued", async () => {
    const before = await page.note(1, first, await newKey());
    const note = await page.note(2, await treeOf(first, second));
    expect(await page.prove(before, () => ({ note, hashes: [second] }))).toBeDefined();
  });

  test("a log whose entry was rewritten is refused, with its name, both sizes and what it means", async () => {
    const note = await page.note(2, await treeOf(await leaf("rewritten"), second));
    const verdict = page.prove(held, () => ({ note, hashes: [second] }));
    await expect(verdict).rejects.toBeInstanceOf(FatalTrouble);
    await expect(verdict).rejects.toMatchObject({
      message: `The audit log ${page.origin} does not continue the one that this runtime has seen: 1 entries then, 2 now.`,
      advice: expect.stringContaining("rewritten, forked or set back. Run nothing") as string,
    });
  });

  test("a log of the same length with another entry is refused", async () => {
    const note = await page.note(1, second);
    await expect(page.prove(held, () => ({ note, hashes: [] }))).rejects.toBeInstanceOf(FatalTrouble);
  });

  test("a log that was emptied is refused", async () => {
    const note = await page.note(0, await sha256(new Uint8Array()));
    await expect(page.prove(held, () => ({ note, hashes: [] }))).rejects.toBeInstanceOf(FatalTrouble);
  });

  test("a log that was never as long as the runtime has seen it is refused", async () => {
    await expect(page.prove(held, failing(Code.InvalidArgument))).rejects.toThrow("1 entries then, fewer now");
  });

  test("a note that audit did not sign is refused", async () => {
    const note = await page.note(2, await treeOf(first, second), page.spin.auth);
    await expect(page.prove(held, () => ({ note, hashes: [second] }))).rejects.toThrow(
      "not signed by its audit service",
    );
  });

  test("a checkpoint of another log is refused, and nothing is asked", async () => {
    const other = held.replaceAll(page.origin, `spin/${"0".repeat(32)}`);
    await expect(page.prove(other, failing(Code.Internal))).rejects.toBeInstanceOf(FatalTrouble);
    expect(page.asked).toEqual([]);
  });

  test("a runtime that has seen no log yet needs no proof", async () => {
    expect(await page.prove("", failing(Code.Internal))).toBeUndefined();
    expect(page.asked).toEqual([]);
  });

  test.each([Code.Unavailable, Code.DeadlineExceeded, Code.PermissionDenied])(
    "an audit service that answers with code %i convicts nobody",
    async (code) => {
      const verdict = page.prove(held, failing(code));
      await expect(verdict).rejects.toBeInstanceOf(ConnectError);
    },
  );
});
