import { useMutation, useQueryClient } from "@tanstack/react-query";
import { RuntimeService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useClient } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";
import { newIdempotencyKey } from "../../../shared/bytes";

export function useCreateRuntime(workspaceId: string) {
  const client = useClient(RuntimeService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (order: { name: string; url: string; isDefault: boolean }) => {
      const { runtime } = await client.createRuntime({ workspaceId, idempotencyKey: newIdempotencyKey(), ...order });
      if (!runtime) throw new Trouble("SPIN answered without the runtime.", "Try again.");
      return runtime;
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: [workspaceId, "runtimes"] }),
  });
}
