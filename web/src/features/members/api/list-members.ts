import { useQuery } from "@tanstack/react-query";
import { MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { useClient } from "../../../shared/api/context";
import { allPages, usePagedList } from "../../../shared/api/pages";

/** Every one of them: whose names the page shows. */
export function useAllMembers(workspaceId: string) {
  const client = useClient(MemberService);
  return useQuery({
    queryKey: [workspaceId, "members", "names"],
    queryFn: () =>
      allPages(async (pageToken) => {
        const page = await client.listMembers({ workspaceId, pageToken, pageSize: 100 });
        return { items: page.members, nextPageToken: page.nextPageToken };
      }),
  });
}

export function useMembers(workspaceId: string) {
  const client = useClient(MemberService);
  return usePagedList([workspaceId, "members"], async (pageToken) => {
    const page = await client.listMembers({ workspaceId, pageToken, pageSize: 100 });
    return { items: page.members, nextPageToken: page.nextPageToken };
  });
}
