// @vitest-environment node
import { describe, expect, it } from "vitest";

import { ChallengeSchema, HelloSchema } from "../gen/spinapis/envelope/v1/attach_pb";
import { EnrolGrantSchema } from "../gen/spinapis/envelope/v1/enrol_pb";
import { Role } from "../gen/spinapis/envelope/v1/trust_pb";
import { hex } from "./bytes";
import { TrustedRoot } from "./root";
import { bytes, type Cases, expectRefused, vectors } from "./vectors.testing";

interface Case {
  name: string;
  documents: string[];
  digest: string;
  now_ms: number;
}
interface Accepted extends Case {
  version: number;
  last_digest: string;
  auth_key_ids: string[];
}
const roots = vectors<Cases<Accepted, Case>>("roots");
const attach = vectors<{ root: string; challenge: string; now_ms: number }>("attach");

async function walked({ documents, digest, now_ms }: Case): Promise<TrustedRoot> {
  const [first = "", ...rest] = documents;
  let root = await TrustedRoot.pinned(bytes(first), bytes(digest), rest.length > 0 ? 0 : now_ms);
  for (const [place, data] of rest.entries()) root = await root.updated(bytes(data), place === rest.length - 1 ? now_ms : 0);
  return root;
}

describe("root documents", () => {
  it.each(roots.accepted)("$name is accepted", async (testCase) => {
    const root = await walked(testCase);
    expect(root.version).toBe(BigInt(testCase.version));
    expect(hex(root.digest)).toBe(testCase.last_digest);
    expect(hex(root.data)).toBe(testCase.documents.at(-1));
    expect(root.keys(Role.AUTH).map((key) => hex(key.keyId))).toEqual(testCase.auth_key_ids);
  });

  it.each(roots.refused)("$name is refused", async (testCase) => {
    await expectRefused(() => walked(testCase));
  });

  it("let a role sign its own payloads alone, while they last", async () => {
    const root = await TrustedRoot.pinned(bytes(attach.root), null, attach.now_ms);
    const challenge = bytes(attach.challenge);
    const { keyIds } = await root.verify(challenge, ChallengeSchema, attach.now_ms);
    await expectRefused(() => root.verify(challenge, ChallengeSchema, attach.now_ms, keyIds));
    await expectRefused(() => root.verify(challenge, EnrolGrantSchema, attach.now_ms));
    await expectRefused(() => root.verify(challenge, HelloSchema, attach.now_ms));
    await expectRefused(() => root.verify(challenge, ChallengeSchema, Number(root.expiresAtMs)));
    await expectRefused(() => Promise.resolve().then(() => root.keys(Role.WORKSPACE)));
  });
});
