import { type Transport, createClient } from "@connectrpc/connect";
import { OutputChain, type VerifyKey, verify } from "../../../envelope";
import { type Entry, type Run, HistoryService } from "../../../gen/spinapis/audit/v1/audit_pb";
import { type Receipt, ReceiptSchema, ReceiptType } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { runKey } from "../../session";
import { allPages } from "../../../shared/api/pages";
import { sameBytes } from "../../../shared/bytes";

export type OutputsVerdict =
  { kind: "verified"; frames: number } | { kind: "unfinished" | "missing" | "expired" | "different" | "unchecked" };

/** Whether the stored outputs hash to what the runtime signed at the end of the run. Refused for a receipt that it did not sign. */
export async function verifyOutputs(
  transport: Transport,
  workspaceId: string,
  run: Run,
  entries: readonly Entry[],
  identity: VerifyKey,
): Promise<OutputsVerdict> {
  const end = await endReceipt(run, entries, identity);
  if (!end) return { kind: "unfinished" };
  if (end.frames === 0) return { kind: "verified", frames: 0 };
  const history = createClient(HistoryService, transport);
  let expired = false;
  const outputs = await allPages(async (pageToken) => {
    const page = await history.listRunOutputs({ workspaceId, runId: run.id, pageToken, pageSize: 500 });
    expired ||= page.expired;
    return { items: page.outputs, nextPageToken: page.nextPageToken };
  }, 1_000_000);
  if (expired) return { kind: "expired" };
  if (outputs.length < end.frames) return { kind: "missing" };
  const chain = new OutputChain();
  for (const output of outputs.slice(0, end.frames)) await chain.append(output.kind, output.body);
  return sameBytes(chain.digest, end.outputDigest) ? { kind: "verified", frames: end.frames } : { kind: "different" };
}

async function endReceipt(run: Run, entries: readonly Entry[], identity: VerifyKey): Promise<Receipt | undefined> {
  const signed = entries.map((entry) => entry.receipt).filter((receipt) => receipt.length > 0);
  const receipts = await Promise.all(signed.map((data) => verify(data, ReceiptSchema, [identity])));
  return receipts
    .map(({ message }) => message)
    .find((receipt) => receipt.type === ReceiptType.END && runKey(receipt.nonce) === run.id);
}
