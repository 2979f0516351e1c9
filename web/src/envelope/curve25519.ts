/**
 * Which 32 bytes count as Ed25519 public keys. docs/protocol.md, section 1.
 *
 * WebCrypto takes low-order points, other spellings of the same point, and keys that are no point at all. All are public values, so
 * nothing here needs constant time.
 */
import { Refused } from "./refused";

/** RFC 8032, section 5.1. */
const P = 2n ** 255n - 19n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;

/** The y of every point whose order divides 8. */
const LOW_ORDER_Y = new Set([
  0n,
  1n,
  P - 1n,
  2707385501144840649318225287225658788936804267575313519463743609750303402022n,
  55188659117513257062467267217118295137698188065244968500265048394206261417927n,
]);

/** Refuses all but the canonical encoding (RFC 8032, section 5.1.3) of a point outside the small subgroup. */
export function checkEd25519(publicKey: Uint8Array): void {
  if (publicKey.length !== 32) throw new Refused(`a key of ${publicKey.length} bytes`);
  const y = publicKey.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n) & (2n ** 255n - 1n);
  if (y >= P) throw new Refused("an Ed25519 key that is not canonical");
  if (LOW_ORDER_Y.has(y)) throw new Refused("an Ed25519 key of low order");
  // x^2 = (y^2 - 1) / (d y^2 + 1) has a root if and only if the product of the two does (Euler's criterion).
  const square = y * y;
  if (power(((square - 1n) * (D * square + 1n)) % P, (P - 1n) / 2n) !== 1n) throw new Refused("an Ed25519 key that is not on the curve");
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let factor = base, rest = exponent; rest > 0n; rest >>= 1n, factor = (factor * factor) % P) {
    if (rest & 1n) result = (result * factor) % P;
  }
  return result;
}
