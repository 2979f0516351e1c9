import { useQuery } from "@tanstack/react-query";
import { ApprovalService } from "../../../gen/spinapis/auth/v1/approvals_pb";
import { useClient } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";
import { isOpen } from "../model/approval-text";

const AGAIN_MS = 3000;

/** Read again every few seconds while it is shown and may still change. */
export function useApproval(workspaceId: string, approvalId: string) {
  const client = useClient(ApprovalService);
  return useQuery({
    queryKey: [workspaceId, "approvals", "one", approvalId],
    queryFn: async () => {
      const { approval } = await client.getApproval({ workspaceId, approvalId });
      if (!approval) throw new Trouble("SPIN answered without an approval.", "Try again.");
      return approval;
    },
    enabled: approvalId !== "",
    refetchInterval: ({ state }) => (state.data && !isOpen(state.data.state) ? false : AGAIN_MS),
  });
}
