import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, describe, expect, test } from "vitest";
import { TrustedRoot, leafHash } from "../../../envelope";
import { type GetConsistencyProofRequest, LogService } from "../../../gen/spinapis/audit/v1/audit_pb";
import { randomBytes, sha256, toHex } from "../../../shared/bytes";
import { Installation } from "../../../testing/installation";
import { memoryTransport } from "../../../testing/transport";
import { FatalTrouble } from "../model/attach";
import { verifyLogContinues } from "./verify-log-continues";

const joined = (...parts: Uint8Array[]): Uint8Array<ArrayBuffer> => Uint8Array.from(parts.flatMap((part) => [...part]));
const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
const leaf = (text: string): Promise<Uint8Array> => leafHash(utf8(text));
const treeOf = (left: Uint8Array, right: Uint8Array) => sha256(joined(Uint8Array.of(1), left, right));

/** A child workspace's session on a runtime that another workspace enrolled, which has seen the log's first entry. */
class Attached {
  readonly session = { workspaceId: toHex(randomBytes(16)), runtimeId: "" };
  readonly asked: GetConsistencyProofRequest[] = [];

  constructor(readonly spin: Installation) {
    this.session.runtimeId = toHex(spin.runtimeId);
  }

  async note(size: number, rootHash: Uint8Array, signer = this.spin.audit): Promise<string> {
    const origin = `spin/${toHex(this.spin.workspaceId)}`;
    const text = `${origin}\n${size}\n${base64(rootHash)}\n`;
    const hash = await sha256(joined(utf8(origin), Uint8Array.of(10, 1), signer.publicKey));
    return `${text}\n— ${origin} ${base64(joined(hash.slice(0, 4), await signer.sign(utf8(text))))}\n`;
  }

  async verify(checkpoint: string, answer: () => { note: string; hashes: Uint8Array[] }): Promise<void> {
    const root = await TrustedRoot.pinned(await this.spin.rootDocument(), null);
    const transport = memoryTransport((router) => {
      router.service(LogService, {
        getConsistencyProof: (request) => {
          this.asked.push(request);
          return answer();
        },
      });
    });
    const { workspaceId } = this.spin;
    await verifyLogContinues(transport, root, this.session, { workspaceId, checkpoint: utf8(checkpoint) });
  }
}

describe("the log must continue the one that the runtime has seen", () => {
  let page: Attached;
  let first: Uint8Array;
  let second: Uint8Array;
  let seen: string;
  beforeEach(async () => {
    page = new Attached(await Installation.make());
    [first, second] = [await leaf("first"), await leaf("second")];
    seen = await page.note(1, first);
  });
  const failing = (code: Code) => (): never => {
    throw new ConnectError("no", code);
  };

  test("a log that has grown is asked for its proof, and goes on", async () => {
    const note = await page.note(2, await treeOf(first, second));
    await page.verify(seen, () => ({ note, hashes: [second] }));
    expect(page.asked).toMatchObject([{ ...page.session, fromSize: 1n, toSize: 0n }]);
  });

  test("a log that has not grown goes on", async () => {
    await page.verify(seen, () => ({ note: seen, hashes: [] }));
    expect(page.asked).toHaveLength(1);
  });

  test("a log whose seen entry was rewritten ends the session, and says what to do", async () => {
    const note = await page.note(2, await treeOf(await leaf("rewritten"), second));
    const verdict = page.verify(seen, () => ({ note, hashes: [second] }));
    await expect(verdict).rejects.toBeInstanceOf(FatalTrouble);
    await expect(verdict).rejects.toMatchObject({
      message: "The platform's audit log does not continue the one that this runtime has seen.",
      advice: expect.stringContaining("do not run anything until this is explained") as string,
    });
  });

  test("a log of the same length with another entry ends the session", async () => {
    const note = await page.note(1, second);
    await expect(page.verify(seen, () => ({ note, hashes: [] }))).rejects.toBeInstanceOf(FatalTrouble);
  });

  test("a log that was emptied ends the session", async () => {
    const note = await page.note(0, await sha256(new Uint8Array()));
    await expect(page.verify(seen, () => ({ note, hashes: [] }))).rejects.toBeInstanceOf(FatalTrouble);
  });

  test("a log that was never as long as the runtime has seen it ends the session", async () => {
    await expect(page.verify(seen, failing(Code.InvalidArgument))).rejects.toBeInstanceOf(FatalTrouble);
  });

  test("a proof with a note that audit did not sign ends the session", async () => {
    const note = await page.note(2, await treeOf(first, second), page.spin.auth);
    await expect(page.verify(seen, () => ({ note, hashes: [second] }))).rejects.toBeInstanceOf(FatalTrouble);
  });

  test("a checkpoint that audit did not sign ends the session, and is not asked about", async () => {
    const forged = await page.note(1, first, page.spin.auth);
    await expect(page.verify(forged, failing(Code.Internal))).rejects.toBeInstanceOf(FatalTrouble);
    expect(page.asked).toEqual([]);
  });

  test.each([
    ["no checkpoint yet", () => Promise.resolve("")],
    ["the checkpoint of an empty log", async () => page.note(0, await sha256(new Uint8Array()))],
  ])("%s needs no proof", async (_name, checkpoint) => {
    await page.verify(await checkpoint(), failing(Code.Internal));
    expect(page.asked).toEqual([]);
  });

  test.each([Code.Unavailable, Code.DeadlineExceeded, Code.PermissionDenied, Code.Unauthenticated])(
    "an audit service that answers with code %i blocks nobody",
    async (code) => {
      await expect(page.verify(seen, failing(code))).resolves.toBeUndefined();
    },
  );
});
