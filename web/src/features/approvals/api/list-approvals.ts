import { type ApprovalState, ApprovalService } from "../../../gen/spinapis/auth/v1/approvals_pb";
import { useClient } from "../../../shared/api/context";
import { usePagedList } from "../../../shared/api/pages";

const AGAIN_MS = 5000;

/** Newest first; UNSPECIFIED for those in any state. */
export function useApprovals(workspaceId: string, state: ApprovalState) {
  const client = useClient(ApprovalService);
  return usePagedList(
    [workspaceId, "approvals", state],
    async (pageToken) => {
      const page = await client.listApprovals({ workspaceId, state, pageToken, pageSize: 20 });
      return { items: page.approvals, nextPageToken: page.nextPageToken };
    },
    AGAIN_MS,
  );
}
