import { useQuery } from "@tanstack/react-query";
import { WorkspaceService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useClient } from "../../../shared/api/context";
import { allPages } from "../../../shared/api/pages";

export function useWorkspaces() {
  const client = useClient(WorkspaceService);
  return useQuery({
    queryKey: ["workspaces"],
    queryFn: () =>
      allPages(async (pageToken) => {
        const page = await client.listWorkspaces({ pageToken, pageSize: 100 });
        return { items: page.workspaces, nextPageToken: page.nextPageToken };
      }),
  });
}
