import { type Transport, createClient } from "@connectrpc/connect";
import { OutputChain, Refused, verify } from "../../../envelope";
import { type Entry, type Run, HistoryService } from "../../../gen/spinapis/audit/v1/audit_pb";
import { type Receipt, ReceiptSchema, ReceiptType } from "../../../gen/spinapis/envelope/v1/receipt_pb";
import { RuntimeService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { problemOf } from "../../../shared/api/problem";
import { runKey } from "../../session";
import { allPages } from "../../../shared/api/pages";
import { sameBytes } from "../../../shared/bytes";
import { getRuntimeTrust } from "../../../shared/trust/enrolment";

export type OutputsVerdict =
  { kind: "verified"; frames: number } | { kind: "unfinished" | "missing" | "expired" | "different" | "unchecked" };

/** Whether the stored outputs hash to what the runtime signed at the end of the run. Refused for a receipt that it did not sign. */
export async function verifyOutputs(
  transport: Transport,
  workspaceId: string,
  run: Run,
  entries: readonly Entry[],
): Promise<OutputsVerdict> {
  const end = await endReceipt(transport, workspaceId, run, entries);
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

async function endReceipt(
  transport: Transport,
  workspaceId: string,
  run: Run,
  entries: readonly Entry[],
): Promise<Receipt | undefined> {
  const signed = entries.map((entry) => entry.receipt).filter((receipt) => receipt.length > 0);
  if (signed.length === 0) return undefined;
  const trust = await getRuntimeTrust(
    transport,
    workspaceId,
    run.runtimeId,
    await ownersOf(transport, workspaceId, run.runtimeId),
  );
  if (!("enrolled" in trust)) throw new Refused("receipts of a runtime that is not enrolled");
  const receipts = await Promise.all(signed.map((data) => verify(data, ReceiptSchema, [trust.enrolled.identity])));
  return receipts
    .map(({ message }) => message)
    .find((receipt) => receipt.type === ReceiptType.END && runKey(receipt.nonce) === run.id);
}

/** The workspaces that may have enrolled the runtime: this one, and the parent that shares it. */
async function ownersOf(transport: Transport, workspaceId: string, runtimeId: string): Promise<string[]> {
  try {
    const { runtime } = await createClient(RuntimeService, transport).getRuntime({ workspaceId, runtimeId });
    return [workspaceId, runtime?.workspaceId ?? workspaceId];
  } catch (error) {
    // Its record is gone; its enrolment stays.
    if (problemOf(error).reason === ErrorReason.NOT_FOUND) return [workspaceId];
    throw error;
  }
}
