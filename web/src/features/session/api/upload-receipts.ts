import { type Transport, createClient } from "@connectrpc/connect";
import { HistoryService } from "../../../gen/spinapis/audit/v1/audit_pb";
import type { SessionIdentity } from "../model/calls";

export async function uploadReceipts(
  transport: Transport,
  { workspaceId, runtimeId }: SessionIdentity,
  receipts: Uint8Array[],
): Promise<Uint8Array> {
  const client = createClient(HistoryService, transport);
  const { receiptAck } = await client.uploadReceipts({ workspaceId, runtimeId, receipts });
  return receiptAck;
}
