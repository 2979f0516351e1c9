import { ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { useClient } from "../../../shared/api/context";
import { usePagedList } from "../../../shared/api/pages";

export function useConnections(workspaceId: string) {
  const client = useClient(ConnectionService);
  return usePagedList([workspaceId, "connections"], async (pageToken) => {
    const page = await client.listConnections({ workspaceId, pageToken, pageSize: 100 });
    return { items: page.connections, nextPageToken: page.nextPageToken };
  });
}
