import { type Transport, createClient } from "@connectrpc/connect";
import { HistoryService } from "../../../gen/spinapis/audit/v1/audit_pb";
import type { RunNonce } from "../../../gen/spinapis/envelope/v1/run_pb";
import type { Output } from "../../../gen/spinapis/runtime/v1/frames_pb";
import type { SessionIdentity } from "../model/calls";

export async function uploadOutputs(
  transport: Transport,
  { workspaceId, runtimeId }: SessionIdentity,
  nonce: RunNonce,
  outputs: Output[],
): Promise<void> {
  await createClient(HistoryService, transport).uploadOutputs({ workspaceId, runtimeId, nonce, outputs });
}
