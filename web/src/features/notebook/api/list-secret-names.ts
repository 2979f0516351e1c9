import { useQuery } from "@tanstack/react-query";
import { ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { useClient } from "../../../shared/api/context";
import { allPages } from "../../../shared/api/pages";

/** Names of the secrets that a template may have. Nobody is asked for who may run nothing. */
export function useSecretNames(workspaceId: string, enabled: boolean) {
  const client = useClient(ConnectionService);
  return useQuery({
    queryKey: [workspaceId, "connections", "secret-names"],
    enabled,
    queryFn: () =>
      allPages(async (pageToken) => {
        const page = await client.listSecretNames({ workspaceId, pageToken, pageSize: 100 });
        return { items: page.names, nextPageToken: page.nextPageToken };
      }),
  });
}
