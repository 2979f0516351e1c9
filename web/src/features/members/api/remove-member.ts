import { useMutation, useQueryClient } from "@tanstack/react-query";
import { MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { useClient } from "../../../shared/api/context";

export function useRemoveMember(workspaceId: string) {
  const client = useClient(MemberService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (order: { userId: string; etag: string }) => client.removeMember({ workspaceId, ...order }),
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "members"] }),
  });
}
