/**
 * SignedMessage: signing, and verifying before parsing. docs/protocol.md, section 1; DSSE 1.0.2.
 *
 * - What is verified is what was carried; the payload is parsed once, afterwards.
 * - The payload type must be the one of the schema that the caller asks for; a key counts once, however often it signed.
 * - A key id in a message is a hint which of the caller's own keys to try. Signatures by other keys are ignored.
 */
import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";

import { type SignedMessage, SignedMessageSchema } from "../gen/spinapis/envelope/v1/signed_pb";
import { type Bytes, hex, sha256 } from "./bytes";
import { pae } from "./digests";
import type { SigningKey, VerifyKey } from "./keys";
import { MAX_MESSAGE, parse } from "./parsing";
import { payloadType, signersOf } from "./payloads";
import { Refused } from "./refused";

/** Bounds the work that a hostile message can cause. */
const MAX_SIGNATURES = 16;

/** A message whose signatures were checked. */
export interface Verified<M extends DescMessage> {
  readonly message: MessageShape<M>;
  /** SHA-256 of the pre-authentication encoding: the message's name in other messages. */
  readonly digest: Bytes;
  /** The SignedMessage as carried. */
  readonly data: Uint8Array;
  /** Those of the caller's keys that signed, in hexadecimal. */
  readonly keyIds: ReadonlySet<string>;
}

/** Serializes and signs; gives a serialized SignedMessage. */
export async function sign<M extends DescMessage>(schema: M, message: MessageShape<M>, ...keys: SigningKey[]): Promise<Uint8Array> {
  const [type, payload] = [payloadType(schema), toBinary(schema, message)];
  const encoding = pae(type, payload);
  const signatures = await Promise.all(keys.map(async (key) => ({ sig: await key.sign(encoding), keyId: key.keyId })));
  const data = toBinary(SignedMessageSchema, create(SignedMessageSchema, { payload, payloadType: type, signatures }));
  if (data.length > MAX_MESSAGE) throw new Refused(`${data.length} bytes are more than a message may have`);
  return data;
}

/** Checks that `threshold` distinct ones of `keys` signed, and no fewer than the table demands. `revoked` holds key ids in hexadecimal. */
export async function verify<M extends DescMessage>(
  data: Uint8Array,
  schema: M,
  keys: Iterable<VerifyKey>,
  { threshold = 1, revoked = new Set<string>() }: { threshold?: number; revoked?: ReadonlySet<string> } = {},
): Promise<Verified<M>> {
  const envelope = envelopeOf(data, schema);
  const encoding = pae(envelope.payloadType, envelope.payload);
  const trusted = new Map(Array.from(keys, (key) => [hex(key.keyId), key] as const).filter(([id]) => !revoked.has(id)));
  const keyIds = await signersIn(envelope, encoding, trusted);
  if (keyIds.size < Math.max(threshold, signersOf(schema).length)) throw new Refused(`${schema.name} lacks a valid signature`);
  return { message: parse(schema, envelope.payload), digest: await sha256(encoding), data, keyIds };
}

/** Parses without checking any signature: only to learn which key to verify with. */
export function unverified<M extends DescMessage>(data: Uint8Array, schema: M): MessageShape<M> {
  return parse(schema, envelopeOf(data, schema).payload);
}

function envelopeOf(data: Uint8Array, schema: DescMessage): SignedMessage {
  const envelope = parse(SignedMessageSchema, data);
  if (envelope.payloadType !== payloadType(schema)) throw new Refused(`payload type ${envelope.payloadType.slice(0, 80)} where ${schema.name} was expected`);
  if (envelope.signatures.length > MAX_SIGNATURES) throw new Refused(`${envelope.signatures.length} signatures`);
  return envelope;
}

async function signersIn(envelope: SignedMessage, encoding: Bytes, keys: ReadonlyMap<string, VerifyKey>): Promise<Set<string>> {
  const signed = new Set<string>();
  for (const { sig, keyId } of envelope.signatures) {
    const id = hex(keyId);
    if (await keys.get(id)?.verify(sig, encoding)) signed.add(id);
  }
  return signed;
}
