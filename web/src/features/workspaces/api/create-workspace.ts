import { useMutation, useQueryClient } from "@tanstack/react-query";
import { WorkspaceService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useClient } from "../../../shared/api/context";
import { newIdempotencyKey } from "../../../shared/bytes";

export function useCreateWorkspace() {
  const client = useClient(WorkspaceService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (order: { name: string; parentId: string }) =>
      (await client.createWorkspace({ ...order, idempotencyKey: newIdempotencyKey() })).workspace,
    onSuccess: () => queries.invalidateQueries({ queryKey: ["workspaces"] }),
  });
}
