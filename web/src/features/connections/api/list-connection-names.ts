import { useQuery } from "@tanstack/react-query";
import { ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { useClient } from "../../../shared/api/context";
import { allPages } from "../../../shared/api/pages";

/** Ids of connections as names; one that is gone, or not to be seen, has an id alone. */
export function useConnectionName(workspaceId: string): (connectionId: string) => string {
  const client = useClient(ConnectionService);
  const { data } = useQuery({
    queryKey: [workspaceId, "connections", "names"],
    queryFn: () =>
      allPages(async (pageToken) => {
        const page = await client.listConnections({ workspaceId, pageToken, pageSize: 100 });
        return { items: page.connections, nextPageToken: page.nextPageToken };
      }),
  });
  return (connectionId) =>
    data?.find((connection) => connection.id === connectionId)?.name ?? `connection ${connectionId.slice(0, 8)}`;
}
