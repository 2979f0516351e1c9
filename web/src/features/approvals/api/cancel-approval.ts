import { useMutation, useQueryClient } from "@tanstack/react-query";
import { ApprovalService } from "../../../gen/spinapis/auth/v1/approvals_pb";
import { useClient } from "../../../shared/api/context";

export function useCancelApproval(workspaceId: string) {
  const client = useClient(ApprovalService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (approvalId: string) => client.cancelApproval({ workspaceId, approvalId }),
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "approvals"] }),
  });
}
