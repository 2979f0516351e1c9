// @vitest-environment node
import { describe, expect, it } from "vitest";

import { hex } from "./bytes";
import { mintToken, pairingKey, parseToken, TokenInvalid } from "./pairing";
import { bytes, type Cases, expectRefused, vectors } from "./vectors.testing";

type Accepted = Record<"text" | "workspace_id" | "pairing_id" | "secret" | "root_digest" | "pairing_key", string>;
const { token } = vectors<{ token: Cases<Accepted, { name: string; text: string }> }>("formats");

describe("SPIN_TOKEN", () => {
  it.each(token.accepted)("is minted and read", async (testCase) => {
    const [workspaceId, pairingId] = [bytes(testCase.workspace_id), bytes(testCase.pairing_id)];
    const parts = { workspaceId, pairingId, secret: bytes(testCase.secret), rootDigest: bytes(testCase.root_digest) };
    expect(await mintToken(parts)).toBe(testCase.text);
    expect(await parseToken(testCase.text)).toEqual(parts);
  });

  it.each(token.refused)("$name is refused", async ({ text }) => {
    await expect(parseToken(text)).rejects.toThrow(TokenInvalid);
  });

  it("is not minted from parts of a wrong length", async () => {
    const [id, secret] = [new Uint8Array(16), new Uint8Array(31)];
    await expectRefused(() => mintToken({ workspaceId: id, pairingId: id, secret, rootDigest: new Uint8Array(32) }));
  });

  it.each(token.accepted)("derives the pairing key", async (testCase) => {
    const key = await pairingKey(bytes(testCase.secret));
    expect(hex(key.publicKey)).toBe(testCase.pairing_key);
    expect(await key.sign(new Uint8Array())).toHaveLength(64);
  });
});
