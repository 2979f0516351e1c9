/**
 * The handshake of docs/protocol.md, section 4: ClientHello, Hello, ClientAuth, Attached. What the runtime says is believed after its
 * Hello was verified against the identity that auth enrolled, and not before.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Attached,
  type Error as RuntimeError,
  type RuntimeFrame,
  type TrustDocuments,
  ClientAuthSchema,
  ClientHelloSchema,
} from "../../../gen/spinapis/runtime/v1/frames_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { Trouble } from "../../../shared/api/problem";
import { randomBytes } from "../../../shared/bytes";
import type { FrameSocket } from "./frame-socket";

/** A failure that no further attempt may follow: the session ends. */
export class FatalTrouble extends Trouble {}

/** What a verified Hello says that the page needs. */
export interface HelloFacts {
  /** The signed Hello, as carried: compiler and secrets want it. */
  data: Uint8Array;
  digest: Uint8Array;
  bootId: Uint8Array;
  bundleVersion: bigint;
  /** The workspace that enrolled the runtime. */
  homeId: Uint8Array;
  /** The note of that workspace's log that the runtime holds; empty before the first. */
  checkpoint: Uint8Array;
}

/** The documents of one attachment, fetched right before it. */
export interface Credentials {
  capability: Uint8Array;
  challenge: Uint8Array;
  sessionKey: Uint8Array;
  trust: TrustDocuments;
  /** Throws Trouble for a Hello that is not this runtime's answer to this attachment. */
  verifyHello(hello: Uint8Array, nonceB: Uint8Array): Promise<HelloFacts>;
  /** The signed ClientAuth. */
  authenticate(hello: HelloFacts): Promise<Uint8Array>;
}

export interface Attachment {
  hello: HelloFacts;
  challenge: Uint8Array;
  attached: Attached;
}

const PATIENCE_MS = 15_000;

export async function attach(socket: FrameSocket, credentials: Credentials): Promise<Attachment> {
  await socket.opened;
  const nonceB = randomBytes(32);
  const { capability, challenge, sessionKey, trust } = credentials;
  socket.send({
    case: "clientHello",
    value: create(ClientHelloSchema, { capability, challenge, nonceB, sessionKey, trust }),
  });
  const answer = await socket.next(PATIENCE_MS);
  if (answer.body.case !== "hello") throw unexpected(answer);
  const hello = await credentials.verifyHello(answer.body.value, nonceB);
  const auth = await credentials.authenticate(hello);
  socket.send({ case: "clientAuth", value: create(ClientAuthSchema, { auth }) });
  const welcome = await socket.next(PATIENCE_MS);
  if (welcome.body.case !== "attached") throw unexpected(welcome);
  return { hello, challenge, attached: welcome.body.value };
}

function unexpected(frame: RuntimeFrame): Trouble {
  if (frame.body.case === "error") return troubleOf(frame.body.value);
  return new Trouble("The runtime answered with something that the protocol does not have.", "Check its version.");
}

export function troubleOf(error: RuntimeError): Trouble {
  return new Trouble(error.message || "The runtime refused.", "", error.reason);
}

/** Whether the runtime finds fault with the log as it was shown. */
export function ofTheLog({ reason, metadata }: RuntimeError): boolean {
  return (
    reason === ErrorReason.LOG_UNPROVEN ||
    (reason === ErrorReason.ROLLBACK_REFUSED && metadata.document === "checkpoint")
  );
}
