import { useMutation, useQueryClient } from "@tanstack/react-query";
import { RuntimeService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useClient } from "../../../shared/api/context";

export function useUpdateRuntime(workspaceId: string) {
  const client = useClient(RuntimeService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (order: { runtimeId: string; etag: string; isDefault?: boolean; name?: string; url?: string }) =>
      client.updateRuntime({ workspaceId, ...order }),
    onSuccess: () => queries.invalidateQueries({ queryKey: [workspaceId, "runtimes"] }),
  });
}
