import { useMutation, useQueryClient } from "@tanstack/react-query";
import { createClient } from "@connectrpc/connect";
import { RuntimeService, type Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useApi } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";
import { newIdempotencyKey } from "../../../shared/bytes";

/** A record has one identity for life: its successor has the name, the address, the labels and the place as the default. Deleting revokes. */
export function useReplaceRuntime(workspaceId: string) {
  const { transport } = useApi();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ id, etag, name, url, labels, isDefault }: Runtime) => {
      const client = createClient(RuntimeService, transport);
      await client.deleteRuntime({ workspaceId, runtimeId: id, etag });
      const order = { name, url, labels, isDefault };
      const { runtime } = await client.createRuntime({ workspaceId, idempotencyKey: newIdempotencyKey(), ...order });
      if (!runtime) throw new Trouble("SPIN answered without the runtime.", "Add it anew under its name.");
      return runtime;
    },
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "runtimes"] }),
  });
}
