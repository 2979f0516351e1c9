import { type Transport, createClient } from "@connectrpc/connect";
import { SessionService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";

/** Closes the session at the platform; its history stays. */
export async function endSession(transport: Transport, workspaceId: string, sessionId: string): Promise<void> {
  await createClient(SessionService, transport).endSession({ workspaceId, sessionId });
}
