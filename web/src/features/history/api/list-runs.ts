import { HistoryService } from "../../../gen/spinapis/audit/v1/audit_pb";
import { useClient } from "../../../shared/api/context";
import { usePagedList } from "../../../shared/api/pages";

export function useRuns(workspaceId: string, sessionId: string) {
  const client = useClient(HistoryService);
  return usePagedList([workspaceId, "sessions", sessionId, "runs"], async (pageToken) => {
    const page = await client.listRuns({ workspaceId, sessionId, pageToken, pageSize: 100 });
    return { items: page.runs, nextPageToken: page.nextPageToken };
  });
}
