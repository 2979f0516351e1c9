import { useMutation, useQueryClient } from "@tanstack/react-query";
import { MemberService } from "../../../gen/spinapis/auth/v1/members_pb";
import { useClient } from "../../../shared/api/context";

export function useRevokeApiKey(workspaceId: string) {
  const client = useClient(MemberService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (apiKeyId: string) => client.revokeApiKey({ workspaceId, apiKeyId }),
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "api-keys"] }),
  });
}
