// @vitest-environment node
import { describe, expect, it } from "vitest";

import { hex } from "./bytes";
import { verifyEnrolment } from "./enrolment";
import { verifyHello } from "./hello";
import { VerifyKey } from "./keys";
import { TrustedRoot } from "./root";
import { bytes, type Cases, expectRefused, vectors } from "./vectors.testing";

interface Enrolment {
  name: string;
  enrol_grant: string;
  confirmation: string;
}
interface Greeting {
  name: string;
  hello: string;
}
const given = vectors<{
  root: string;
  now_ms: number;
  workspace_id: string;
  runtime_id: string;
  session_id: string;
  origin: string;
  identity_key: string;
  fingerprint: string;
  challenge: string;
  nonce_b: string;
  enrolment: Cases<Enrolment & { confirmed: boolean }, Enrolment>;
  hello: Cases<Greeting, Greeting>;
}>("attach");
const ids = { workspaceId: bytes(given.workspace_id), runtimeId: bytes(given.runtime_id) };

async function enrolled(testCase: Enrolment) {
  const root = await TrustedRoot.pinned(bytes(given.root), null, given.now_ms);
  return verifyEnrolment(root, bytes(testCase.enrol_grant), bytes(testCase.confirmation), ids, given.now_ms);
}

async function greeted(testCase: Greeting) {
  const identity = await VerifyKey.of(bytes(given.identity_key));
  const [sessionId, challenge, nonceB] = [bytes(given.session_id), bytes(given.challenge), bytes(given.nonce_b)];
  return verifyHello(bytes(testCase.hello), identity, { ...ids, sessionId, challenge, nonceB, origin: given.origin });
}

describe("enrolment", () => {
  it.each(given.enrolment.accepted)("$name is accepted", async (testCase) => {
    const runtime = await enrolled(testCase);
    expect(hex(runtime.identity.publicKey)).toBe(given.identity_key);
    expect(runtime.fingerprint).toBe(given.fingerprint);
    expect(runtime.confirmed).toBe(testCase.confirmed);
  });

  it.each(given.enrolment.refused)("$name is refused", async (testCase) => {
    await expectRefused(() => enrolled(testCase));
  });
});

describe("hello", () => {
  it.each(given.hello.accepted)("$name is accepted", async (testCase) => {
    expect((await greeted(testCase)).message.origin).toBe(given.origin);
  });

  it.each(given.hello.refused)("$name is refused", async (testCase) => {
    await expectRefused(() => greeted(testCase));
  });
});
