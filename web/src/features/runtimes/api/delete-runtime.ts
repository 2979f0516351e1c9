import { useMutation, useQueryClient } from "@tanstack/react-query";
import { createClient } from "@connectrpc/connect";
import { EnrolmentService } from "../../../gen/spinapis/auth/v1/trust_pb";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { RuntimeService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useApi } from "../../../shared/api/context";
import { problemOf } from "../../../shared/api/problem";

/** Takes the runtime's trust away first: a record that is gone must not leave a runtime that is still trusted. */
export function useDeleteRuntime(workspaceId: string) {
  const { transport } = useApi();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ runtimeId, etag }: { runtimeId: string; etag: string }) => {
      try {
        await createClient(EnrolmentService, transport).revokeRuntime({ workspaceId, runtimeId });
      } catch (error) {
        // One that was never enrolled has no trust to take away.
        if (problemOf(error).reason !== ErrorReason.NOT_FOUND) throw error;
      }
      await createClient(RuntimeService, transport).deleteRuntime({ workspaceId, runtimeId, etag });
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: [workspaceId, "runtimes"] }),
  });
}
