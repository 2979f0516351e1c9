/** Verifying Merkle proofs. RFC 9162, sections 2.1.3.2 and 2.1.4.2. Sizes are at most 2^53, beyond which no log grows. */
import { type Bytes, same, sha256 } from "./bytes";
import { Refused } from "./refused";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export async function leafHash(leaf: Uint8Array): Promise<Bytes> {
  return sha256(LEAF, leaf);
}

async function nodeHash(left: Uint8Array, right: Uint8Array): Promise<Bytes> {
  return sha256(NODE, left, right);
}

/** Resolves when the leaf stands at `index` of the tree; throws Refused when that is not proved. */
export async function verifyInclusion(leaf: Uint8Array, index: number, size: number, proof: readonly Uint8Array[], root: Uint8Array): Promise<void> {
  checkRange(index, size - 1);
  const path = new Path(index, size - 1);
  let digest = leaf;
  for (const sibling of checked(proof)) {
    digest = path.isRight() ? await nodeHash(sibling, digest) : await nodeHash(digest, sibling);
    path.rise();
  }
  if (!path.ended || !same(digest, root)) throw new Refused("an inclusion proof that does not lead to the root");
}

/** Resolves when the tree of `newSize` leaves starts with the whole tree of `oldSize`; throws Refused when that is not proved. */
export async function verifyConsistency(
  oldSize: number,
  oldRoot: Uint8Array,
  newSize: number,
  newRoot: Uint8Array,
  proof: readonly Uint8Array[],
): Promise<void> {
  checkRange(oldSize, newSize);
  if (oldSize === 0 || oldSize === newSize) {
    const expected = oldSize === 0 ? await sha256() : newRoot;
    if (proof.length > 0 || !same(oldRoot, expected)) throw new Refused("trees that are not consistent");
    return;
  }
  const whole = Number.isInteger(Math.log2(oldSize));
  const [start, ...siblings] = [...(whole ? [oldRoot] : []), ...checked(proof)];
  if (start === undefined) throw new Refused("a consistency proof that is too short");
  const path = new Path(oldSize - 1, newSize - 1);
  path.skipFullSubtrees();
  let [first, second] = [start, start];
  for (const sibling of siblings) {
    if (path.isRight()) [first, second] = [await nodeHash(sibling, first), await nodeHash(sibling, second)];
    else second = await nodeHash(second, sibling);
    path.rise();
  }
  if (!path.ended || !same(first, oldRoot) || !same(second, newRoot)) throw new Refused("trees that are not consistent");
}

/** Where a proof stands: the node's place in its level, and the last place of that level. */
class Path {
  private place: bigint;
  private last: bigint;

  constructor(place: number, last: number) {
    this.place = BigInt(place);
    this.last = BigInt(last);
  }

  get ended(): boolean {
    return this.last === 0n;
  }

  /** Whether the next sibling stands to the left; leaves levels out in which the node has no sibling. */
  isRight(): boolean {
    if (this.ended) throw new Refused("a proof that is too long");
    const right = this.isOdd() || this.place === this.last;
    if (right) while (!this.isOdd() && this.place > 0n) this.rise();
    return right;
  }

  skipFullSubtrees(): void {
    while (this.isOdd()) this.rise();
  }

  rise(): void {
    this.place >>= 1n;
    this.last >>= 1n;
  }

  private isOdd(): boolean {
    return (this.place & 1n) === 1n;
  }
}

function checkRange(low: number, high: number): void {
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || low < 0 || low > high) throw new Refused(`${low} is not within ${high}`);
}

function checked(proof: readonly Uint8Array[]): readonly Uint8Array[] {
  if (proof.some((digest) => digest.length !== 32)) throw new Refused("a proof with something that is no hash");
  return proof;
}
