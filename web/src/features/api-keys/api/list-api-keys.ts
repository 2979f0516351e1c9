import { MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { useClient } from "../../../shared/api/context";
import { usePagedList } from "../../../shared/api/pages";

export function useApiKeys(workspaceId: string) {
  const client = useClient(MemberService);
  return usePagedList([workspaceId, "api-keys"], async (pageToken) => {
    const page = await client.listApiKeys({ workspaceId, pageToken, pageSize: 100 });
    return { items: page.apiKeys, nextPageToken: page.nextPageToken };
  });
}
