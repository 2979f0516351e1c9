import { createClient } from "@connectrpc/connect";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Runtime, RuntimeService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useApi } from "../../../shared/api/context";
import { type Revoked, revokeRuntime } from "./revoke-runtime";

/** `onRemoved` belongs to the call: the row that began it goes away with the runtime. */
export function useDeleteRuntime(workspaceId: string, onRemoved: (revoked: Revoked) => void) {
  const { transport } = useApi();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (runtime: Runtime): Promise<Revoked> => {
      const revoked = await revokeRuntime(transport, workspaceId, runtime);
      const { id: runtimeId, etag } = runtime;
      await createClient(RuntimeService, transport).deleteRuntime({ workspaceId, runtimeId, etag });
      return revoked;
    },
    onSuccess: (revoked) => {
      onRemoved(revoked);
      return queries.invalidateQueries({ queryKey: [workspaceId, "runtimes"] });
    },
  });
}
