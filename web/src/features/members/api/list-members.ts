import { MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { useClient } from "../../../shared/api/context";
import { usePagedList } from "../../../shared/api/pages";

export function useMembers(workspaceId: string) {
  const client = useClient(MemberService);
  return usePagedList([workspaceId, "members"], async (pageToken) => {
    const page = await client.listMembers({ workspaceId, pageToken, pageSize: 100 });
    return { items: page.members, nextPageToken: page.nextPageToken };
  });
}
