// @vitest-environment node
import { describe, expect, it } from "vitest";

import { hex } from "./bytes";
import { fingerprint, keyId } from "./digests";
import { generateSessionKeys, signingKey, VerifyKey } from "./keys";
import { bytes, type Cases, expectRefused, vectors } from "./vectors.testing";

interface Named {
  name: string;
  public: string;
}
interface Accepted extends Named {
  key_id: string;
  fingerprint: string;
  signature_over_empty: string;
}
const { ed25519, key_ids } = vectors<{ ed25519: Cases<Accepted, Named>; key_ids: { algorithm: number; public: string; key_id: string }[] }>("keys");

describe("public keys", () => {
  it.each(ed25519.accepted)("$name is accepted", async (testCase) => {
    const key = await VerifyKey.of(bytes(testCase.public));
    expect(hex(key.keyId)).toBe(testCase.key_id);
    expect(await fingerprint(key.publicKey)).toBe(testCase.fingerprint);
    expect(await key.verify(bytes(testCase.signature_over_empty), new Uint8Array())).toBe(true);
    expect(await key.verify(bytes(testCase.signature_over_empty), new Uint8Array(1))).toBe(false);
  });

  it.each(ed25519.refused)("$name is refused", async (testCase) => {
    await expectRefused(() => VerifyKey.of(bytes(testCase.public)));
  });

  it.each(key_ids)("algorithm $algorithm has its own key id", async (testCase) => {
    expect(hex(await keyId(testCase.algorithm, bytes(testCase.public)))).toBe(testCase.key_id);
  });
});

describe("session keys", () => {
  it("sign, and their private half cannot be taken out", async () => {
    const pair = await generateSessionKeys();
    const key = await signingKey(pair);
    const signature = await key.sign(bytes("00ff"));
    expect(await (await VerifyKey.of(key.publicKey)).verify(signature, bytes("00ff"))).toBe(true);
    expect(pair.privateKey.extractable).toBe(false);
    await expect(crypto.subtle.exportKey("pkcs8", pair.privateKey)).rejects.toThrow();
  });
});
