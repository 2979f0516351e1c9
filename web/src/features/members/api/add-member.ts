import { useMutation, useQueryClient } from "@tanstack/react-query";
import { MemberService, type MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import { useClient } from "../../../shared/api/context";
import { newIdempotencyKey } from "../../../shared/bytes";

export function useAddMember(workspaceId: string) {
  const client = useClient(MemberService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (order: { email: string; role: MemberRole }) =>
      client.addMember({ workspaceId, idempotencyKey: newIdempotencyKey(), ...order }),
    onSuccess: () => queries.invalidateQueries({ queryKey: [workspaceId, "members"] }),
  });
}
