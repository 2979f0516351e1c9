import { useQuery } from "@tanstack/react-query";
import { GrantService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { useClient } from "../../../shared/api/context";
import { allPages } from "../../../shared/api/pages";

/** The connections of whoever asks, each with those of the users who may not use it. Nobody is asked while there are no users. */
export function useSharedConnections(workspaceId: string, userIds: readonly string[]) {
  const client = useClient(GrantService);
  return useQuery({
    queryKey: [workspaceId, "shared-connections", ...userIds],
    enabled: userIds.length > 0,
    queryFn: () =>
      allPages(async (pageToken) => {
        const page = await client.listSharedConnections({ workspaceId, userIds: [...userIds], pageToken });
        return { items: page.connections, nextPageToken: page.nextPageToken };
      }),
  });
}
