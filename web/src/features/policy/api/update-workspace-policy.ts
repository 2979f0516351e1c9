import { create } from "@bufbuild/protobuf";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { PolicyService } from "../../../gen/spinapis/auth/v1/policy_pb";
import { type EgressMode, EgressPolicySchema } from "../../../gen/spinapis/envelope/v1/attach_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { useClient } from "../../../shared/api/context";
import { problemOf } from "../../../shared/api/problem";

export interface PolicyChange {
  mode: EgressMode;
  hosts: string[];
  trustGraceMs: bigint;
}

export type News = "saved" | "overtaken";

/**
 * The etag is of what the form began with: what others changed meanwhile is not overwritten unseen. `onNews` belongs to the call: a newer
 * policy draws the form anew.
 */
export function useUpdateWorkspacePolicy(workspaceId: string, etag: string, onNews: (news: News) => void) {
  const client = useClient(PolicyService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ mode, hosts, trustGraceMs }: PolicyChange) => {
      const egress = create(EgressPolicySchema, { mode, hosts });
      return client.updateWorkspacePolicy({ workspaceId, egress, trustGraceMs, etag });
    },
    onSuccess: () => {
      onNews("saved");
    },
    onError: (error) => {
      if (problemOf(error).reason === ErrorReason.ETAG_MISMATCH) onNews("overtaken");
    },
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "policy"] }),
  });
}
