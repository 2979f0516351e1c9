import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Approval, ApprovalService } from "../../../gen/spinapis/auth/v1/approvals_pb";
import { useClient } from "../../../shared/api/context";

export interface Decision {
  approve: boolean;
  note: string;
  validMs: bigint;
}

/** The digest is of what was shown: what is another cell by now is not decided on. */
export function useDecideApproval({ workspaceId, id: approvalId, sourceDigest }: Approval) {
  const client = useClient(ApprovalService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (decision: Decision) => client.decideApproval({ workspaceId, approvalId, sourceDigest, ...decision }),
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "approvals"] }),
  });
}
