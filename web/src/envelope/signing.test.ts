// @vitest-environment node
import { create, type DescMessage, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";

import * as attach from "../gen/spinapis/envelope/v1/attach_pb";
import * as enrol from "../gen/spinapis/envelope/v1/enrol_pb";
import * as run from "../gen/spinapis/envelope/v1/run_pb";
import { SignedMessageSchema } from "../gen/spinapis/envelope/v1/signed_pb";
import { hex, utf8 } from "./bytes";
import { pae, sealedDigest, signedDigest } from "./digests";
import { generateSessionKeys, signingKey, VerifyKey } from "./keys";
import { MAX_MESSAGE } from "./parsing";
import { payloadType } from "./payloads";
import { sign, unverified, verify } from "./signing";
import { bytes, type Cases, expectRefused, vectors } from "./vectors.testing";

interface Case {
  name: string;
  message: string;
  data: string;
  keys: string[];
  threshold: number;
  revoked: string[];
}
interface Accepted extends Case {
  digest: string;
  key_ids: string[];
}
const signed = vectors<Cases<Accepted, Case>>("signed");
const formats = vectors<{ pae: { payload_type: string; payload: string; pae: string }[] }>("formats");

const schemas: Record<string, DescMessage> = {
  Program: run.ProgramSchema,
  EnrolRequest: enrol.EnrolRequestSchema,
  Challenge: attach.ChallengeSchema,
};

async function verified({ message, data, keys, threshold, revoked }: Case) {
  const schema = schemas[message];
  if (schema === undefined) throw new Error(`no schema for ${message}`);
  const trusted = await Promise.all(keys.map((key) => VerifyKey.of(bytes(key))));
  return verify(bytes(data), schema, trusted, { threshold, revoked: new Set(revoked) });
}

describe("signed messages", () => {
  it.each(signed.accepted)("$name is accepted", async (testCase) => {
    const result = await verified(testCase);
    expect(hex(result.digest)).toBe(testCase.digest);
    expect(hex(await signedDigest(result.data))).toBe(testCase.digest);
    expect([...result.keyIds].sort()).toEqual(testCase.key_ids);
  });

  it.each(signed.refused)("$name is refused", async (testCase) => {
    await expectRefused(() => verified(testCase));
  });

  it.each(formats.pae)("$payload_type is encoded before it is signed", (testCase) => {
    expect(hex(pae(testCase.payload_type, bytes(testCase.payload)))).toBe(testCase.pae);
  });

  it("signs what it verifies", async () => {
    const key = await signingKey(await generateSessionKeys());
    const said = create(attach.ClientAuthSchema, { origin: "https://spin.example.com", helloDigest: utf8("digest") });
    const data = await sign(attach.ClientAuthSchema, said, key);
    const result = await verify(data, attach.ClientAuthSchema, [await VerifyKey.of(key.publicKey)]);
    expect(result.message.origin).toBe(said.origin);
    expect(unverified(data, attach.ClientAuthSchema)).toEqual(result.message);
  });

  it("takes and makes no message over 4 MiB", async () => {
    const key = await signingKey(await generateSessionKeys());
    const large = create(run.ProgramSchema, { padding: new Uint8Array(MAX_MESSAGE) });
    await expectRefused(() => sign(run.ProgramSchema, large, key));
    const wellFormed = toBinary(SignedMessageSchema, create(SignedMessageSchema, { payload: new Uint8Array(MAX_MESSAGE) }));
    await expectRefused(() => signedDigest(wellFormed));
  });

  it("refuses to sign what is no payload", async () => {
    await expectRefused(() => Promise.resolve().then(() => payloadType(run.RunNonceSchema)));
  });

  it("names a sealed message by its bytes", async () => {
    const { accepted } = vectors<Cases<{ data: string; digest: string }, never>>("sealed");
    for (const { data, digest } of accepted) expect(hex(await sealedDigest(bytes(data)))).toBe(digest);
  });
});
