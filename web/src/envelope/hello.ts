/** The runtime's Hello: who is at the other end of the socket. docs/protocol.md, section 4. */
import { HelloSchema } from "../gen/spinapis/envelope/v1/attach_pb";
import { same } from "./bytes";
import { signedDigest } from "./digests";
import type { VerifyKey } from "./keys";
import { Refused } from "./refused";
import { type Verified, verify } from "./signing";

/** What the client asked for, and so must find in the answer. */
export interface ExpectedHello {
  readonly workspaceId: Uint8Array;
  readonly runtimeId: Uint8Array;
  readonly sessionId: Uint8Array;
  /** The signed Challenge, as sent: its digest makes the Hello newer than it. */
  readonly challenge: Uint8Array;
  readonly nonceB: Uint8Array;
  readonly origin: string;
}

/** `identity` is the key of the EnrolGrant that the client fetched and verified itself. */
export async function verifyHello(data: Uint8Array, identity: VerifyKey, expected: ExpectedHello): Promise<Verified<typeof HelloSchema>> {
  const verified = await verify(data, HelloSchema, [identity]);
  const hello = verified.message;
  const answers =
    same(hello.workspaceId, expected.workspaceId) &&
    same(hello.runtimeId, expected.runtimeId) &&
    same(hello.sessionId, expected.sessionId) &&
    same(hello.challengeDigest, await signedDigest(expected.challenge)) &&
    same(hello.nonceB, expected.nonceB) &&
    hello.origin === expected.origin;
  if (!answers) throw new Refused("a hello to someone else");
  return verified;
}
