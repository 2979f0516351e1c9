import { useMutation, useQueryClient } from "@tanstack/react-query";
import { MemberService, type MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import { useClient } from "../../../shared/api/context";

export function useUpdateMember(workspaceId: string) {
  const client = useClient(MemberService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (order: { userId: string; role: MemberRole; etag: string }) =>
      client.updateMember({ workspaceId, ...order }),
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "members"] }),
  });
}
