import { useQuery } from "@tanstack/react-query";
import { ConnectionService } from "../../../gen/spinapis/secrets/v1/secrets_pb";
import { useClient } from "../../../shared/api/context";
import { allPages } from "../../../shared/api/pages";

export function useConnectionKinds() {
  const client = useClient(ConnectionService);
  return useQuery({
    queryKey: ["connection-kinds"],
    queryFn: () =>
      allPages(async (pageToken) => {
        const page = await client.listConnectionKinds({ pageToken, pageSize: 100 });
        return { items: page.kinds, nextPageToken: page.nextPageToken };
      }),
    staleTime: 10 * 60_000,
  });
}
