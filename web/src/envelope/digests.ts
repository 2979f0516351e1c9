/** Everything that is hashed outside the output chain and the Merkle tree. docs/protocol.md, section 1. */
import { SignedMessageSchema } from "../gen/spinapis/envelope/v1/signed_pb";
import { bigEndian, type Bytes, concat, hex, sha256, utf8 } from "./bytes";
import { parse } from "./parsing";

/** DSSE 1.0.2 pre-authentication encoding: the bytes that a signature is over. */
export function pae(payloadType: string, payload: Uint8Array): Bytes {
  const type = utf8(payloadType);
  return concat(utf8(`DSSEv1 ${type.length} `), type, utf8(` ${payload.length} `), payload);
}

/** Name of a key, which binds its algorithm. */
export async function keyId(algorithm: number, publicKey: Uint8Array): Promise<Bytes> {
  return sha256(utf8("spin/kid/v1"), bigEndian(algorithm, 2), publicKey);
}

/** What people compare before they confirm a runtime: eight groups of eight hexadecimal digits. */
export async function fingerprint(identityKey: Uint8Array): Promise<string> {
  const digits = hex(await sha256(identityKey));
  return (digits.match(/.{8}/g) ?? []).join(" ");
}

/** Digest of a SignedMessage as carried: of its PAE, so that it does not depend on the signatures. */
export async function signedDigest(data: Uint8Array): Promise<Bytes> {
  const message = parse(SignedMessageSchema, data);
  return sha256(pae(message.payloadType, message.payload));
}

/** Digest of a Sealed: of its bytes. */
export async function sealedDigest(data: Uint8Array): Promise<Bytes> {
  return sha256(data);
}
