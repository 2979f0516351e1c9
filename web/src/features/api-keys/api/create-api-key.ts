import { useMutation, useQueryClient } from "@tanstack/react-query";
import { MemberService, type MemberRole } from "../../../gen/spinapis/auth/v1/members_pb";
import { useClient } from "../../../shared/api/context";
import { newIdempotencyKey } from "../../../shared/bytes";

/** The answer holds the secret. It stays in the component that asked: no cache, no storage. */
export function useCreateApiKey(workspaceId: string) {
  const client = useClient(MemberService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (order: { name: string; role: MemberRole; expiresAtMs: bigint }) =>
      client.createApiKey({ workspaceId, idempotencyKey: newIdempotencyKey(), ...order }),
    onSuccess: () => queries.invalidateQueries({ queryKey: [workspaceId, "api-keys"] }),
    gcTime: 0,
  });
}
