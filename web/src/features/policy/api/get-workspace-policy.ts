import { useQuery } from "@tanstack/react-query";
import { PolicyService } from "../../../gen/spinapis/auth/v1/policy_pb";
import { useClient } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";

export function useWorkspacePolicy(workspaceId: string) {
  const client = useClient(PolicyService);
  return useQuery({
    queryKey: [workspaceId, "policy"],
    queryFn: async () => {
      const { policy } = await client.getWorkspacePolicy({ workspaceId });
      if (!policy) throw new Trouble("SPIN answered without the policy.", "Try again.");
      return policy;
    },
  });
}
