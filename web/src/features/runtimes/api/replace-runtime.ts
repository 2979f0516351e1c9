import { createClient } from "@connectrpc/connect";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Runtime, RuntimeService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useApi } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";
import { newIdempotencyKey } from "../../../shared/bytes";
import { type Revoked, revokeRuntime } from "./revoke-runtime";

export interface Replaced {
  successor: Runtime;
  revoked: Revoked;
}

/**
 * A record has one identity for life: its successor has the name, the address, the labels and the place as the default. The one of now is told
 * that it is over. `onReplaced` belongs to the call: the row that began it goes away with the old record.
 */
export function useReplaceRuntime(workspaceId: string, onReplaced: (replaced: Replaced) => void) {
  const { transport } = useApi();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (runtime: Runtime): Promise<Replaced> => {
      const revoked = await revokeRuntime(transport, workspaceId, runtime);
      const client = createClient(RuntimeService, transport);
      const { id, etag, name, url, labels, isDefault } = runtime;
      await client.deleteRuntime({ workspaceId, runtimeId: id, etag });
      const order = { name, url, labels, isDefault };
      const made = await client.createRuntime({ workspaceId, idempotencyKey: newIdempotencyKey(), ...order });
      if (!made.runtime) throw new Trouble("SPIN answered without the runtime.", "Add it anew under its name.");
      return { successor: made.runtime, revoked };
    },
    onSuccess: onReplaced,
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "runtimes"] }),
  });
}
