import { useQuery } from "@tanstack/react-query";
import { RuntimeService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useClient } from "../../../shared/api/context";
import { allPages } from "../../../shared/api/pages";

export function useRuntimes(workspaceId: string) {
  const client = useClient(RuntimeService);
  return useQuery({
    queryKey: [workspaceId, "runtimes"],
    queryFn: () =>
      allPages(async (pageToken) => {
        const page = await client.listRuntimes({ workspaceId, pageToken, pageSize: 100 });
        return { items: page.runtimes, nextPageToken: page.nextPageToken };
      }),
  });
}
