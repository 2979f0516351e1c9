import { SessionService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { usePagedList } from "../../../shared/api/pages";

export function useSessions(workspaceId: string) {
  const client = useClient(SessionService);
  return usePagedList([workspaceId, "sessions"], async (pageToken) => {
    const page = await client.listSessions({ workspaceId, pageToken, pageSize: 50 });
    return { items: page.sessions, nextPageToken: page.nextPageToken };
  });
}
