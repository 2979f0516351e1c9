import { type Transport, createClient } from "@connectrpc/connect";
import { HistoryService } from "../../../gen/spinapis/audit/v1/audit_pb";
import { allPages } from "../../../shared/api/pages";
import type { SessionIdentity, StoredFrames } from "../model/calls";
import { runKey } from "../model/stream";

/** How many outputs of each of the session's runs the log has already: those need not be carried again. */
export async function listStoredFrames(transport: Transport, session: SessionIdentity): Promise<StoredFrames> {
  const client = createClient(HistoryService, transport);
  const { workspaceId, sessionId } = session;
  const runs = await allPages(async (pageToken) => {
    const page = await client.listRuns({ workspaceId, sessionId, pageToken, pageSize: 500 });
    return { items: page.runs, nextPageToken: page.nextPageToken };
  });
  return Object.fromEntries(runs.map((run) => [runKey(run.nonce), run.framesStored]));
}
