/**
 * SPIN_TOKEN, which pairs a runtime with a workspace. docs/protocol.md, section 3.
 *
 *     "spin1." + base64url(workspace_id 16 | pairing_id 16 | secret 32 | root digest 32 | checksum 4), without padding
 *
 * The token goes from this page into the runtime's environment and nowhere else; auth gets the pairing key's public half.
 */
import { base64, type Bytes, concat, fromBase64, sha256, utf8 } from "./bytes";
import { type SigningKey, signingKey } from "./keys";
import { Refused } from "./refused";

const PREFIX = "spin1.";
const LENGTHS = [16, 16, 32, 32];
const BODY_BYTES = 96;
const TEXT = /^spin1\.[A-Za-z0-9_-]{134}$/;

/** RFC 8410, section 7: what stands before the 32 bytes of the seed in PKCS #8. */
const PKCS8_ED25519 = Uint8Array.from([0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]);

export interface PairingToken {
  readonly workspaceId: Uint8Array;
  readonly pairingId: Uint8Array;
  readonly secret: Uint8Array;
  readonly rootDigest: Uint8Array;
}

/** A text that is no SPIN_TOKEN. */
export class TokenInvalid extends Error {
  override readonly name = "TokenInvalid";
}

export async function mintToken({ workspaceId, pairingId, secret, rootDigest }: PairingToken): Promise<string> {
  const parts = [workspaceId, pairingId, secret, rootDigest];
  if (!parts.every((part, place) => part.length === LENGTHS[place])) throw new Refused("a pairing token's part has a wrong length");
  const body = concat(...parts);
  return PREFIX + base64(concat(body, await checksum(body))).replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_");
}

export async function parseToken(text: string): Promise<PairingToken> {
  if (!TEXT.test(text)) throw new TokenInvalid("not a pairing token");
  const token = partsOf(text.slice(PREFIX.length));
  if (token === null || (await mintToken(token)) !== text) throw new TokenInvalid("a pairing token with a wrong checksum");
  return token;
}

/** Signs the PairRegistration. */
export async function pairingKey(secret: Uint8Array): Promise<SigningKey> {
  const seed = await derived(secret, "spin/pair/v1");
  const pkcs8 = concat(PKCS8_ED25519, seed);
  const extractable = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "Ed25519" }, true, ["sign"]);
  const { kty, crv, x } = await crypto.subtle.exportKey("jwk", extractable);
  const publicKey = await crypto.subtle.importKey("jwk", { kty, crv, x }, { name: "Ed25519" }, true, ["verify"]);
  const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "Ed25519" }, false, ["sign"]);
  return signingKey({ publicKey, privateKey });
}

async function derived(secret: Uint8Array, info: string): Promise<Bytes> {
  const key = await crypto.subtle.importKey("raw", concat(secret), "HKDF", false, ["deriveBits"]);
  const bits = await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: utf8(info) }, key, 256);
  return new Uint8Array(bits);
}

async function checksum(body: Uint8Array): Promise<Bytes> {
  return (await sha256(utf8("spin/token/v1"), body)).slice(0, 4);
}

function partsOf(encoded: string): PairingToken | null {
  try {
    const body = fromBase64(`${encoded.replaceAll("-", "+").replaceAll("_", "/")}==`).slice(0, BODY_BYTES);
    return { workspaceId: body.slice(0, 16), pairingId: body.slice(16, 32), secret: body.slice(32, 64), rootDigest: body.slice(64) };
  } catch {
    return null; // Stray bits in the last character: the caller says that the token is wrong, and repeats nothing of it.
  }
}
