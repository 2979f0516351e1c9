/** Ids of people as names. Whoever is no member any more, or is a machine, has an id alone. */
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { MemberService } from "../../gen/spinapis/auth/v1/members_pb";
import { useClient } from "../../shared/api/context";
import { allPages } from "../../shared/api/pages";

export function usePersonName(workspaceId: string): (userId: string) => string {
  const client = useClient(MemberService);
  const { data } = useQuery({
    queryKey: [workspaceId, "members", "names"],
    queryFn: () =>
      allPages(async (pageToken) => {
        const page = await client.listMembers({ workspaceId, pageToken, pageSize: 100 });
        return { items: page.members, nextPageToken: page.nextPageToken };
      }),
  });
  const names = useMemo(
    () => new Map(data?.map(({ userId, displayName, email }) => [userId, displayName || email])),
    [data],
  );
  return (userId) => names.get(userId) ?? (data ? `someone who is no member now (${userId.slice(0, 8)})` : "…");
}
