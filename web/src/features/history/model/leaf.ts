/** What a leaf of the log says, and whether the entry beside it is what the leaf commits to. */
import { fromBinary } from "@bufbuild/protobuf";
import { Refused, signedDigest } from "../../../envelope";
import type { Entry } from "../../../gen/spinapis/audit/v1/audit_pb";
import { type LogLeaf, LogLeafSchema } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { sameBytes, sha256 } from "../../../shared/bytes";

/** The leaf of an entry about the run; Refused when the entry or the run is another one. */
export async function checkedLeaf(entry: Entry, runId: string): Promise<LogLeaf> {
  const leaf = fromBinary(LogLeafSchema, entry.leaf);
  if (!leaf.subjects.includes(`run:${runId}`)) throw new Refused(`entry ${entry.index} is about something else`);
  if (entry.salt.length > 0) {
    const body = new TextEncoder().encode(entry.bodyJson);
    const committed = new Uint8Array(entry.salt.length + body.length);
    committed.set(entry.salt);
    committed.set(body, entry.salt.length);
    if (!sameBytes(await sha256(committed), leaf.bodyCommitment))
      throw new Refused(`entry ${entry.index} has another body`);
  }
  if (entry.receipt.length > 0 && !sameBytes(await signedDigest(entry.receipt), leaf.receiptDigest)) {
    throw new Refused(`entry ${entry.index} has another receipt`);
  }
  return leaf;
}
