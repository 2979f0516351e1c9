/** A runtime's record is replaced by a new one: revoked, deleted, and made anew with what people know it by. */
import { type Transport, createClient } from "@connectrpc/connect";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Runtime, RuntimeService } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useApi } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";
import { newIdempotencyKey } from "../../../shared/bytes";
import { type Revoked, revokeRuntime } from "./revoke-runtime";

interface Order extends Pick<Runtime, "name" | "url" | "labels" | "isDefault"> {
  workspaceId: string;
  idempotencyKey: string;
}

export interface Replaced {
  kind: "replaced";
  revoked: Revoked;
  successor: Runtime;
}

/** The old record is gone, and there is no new one yet: what it has to be is known here alone. */
export interface HalfReplaced {
  kind: "half";
  revoked: Revoked;
  order: Order;
  error: unknown;
}

export type Replacement = Replaced | HalfReplaced;

/**
 * A record has one identity for life: its successor has the name, the address, the labels and the place as the default. The one of now is told
 * that it is over. `onReplaced` belongs to the call: the row that began it goes away with the old record.
 */
export function useReplaceRuntime(workspaceId: string, onReplaced: (replacement: Replacement) => void) {
  return useReplacement(workspaceId, onReplaced, async (transport, runtime: Runtime) => {
    const revoked = await revokeRuntime(transport, workspaceId, runtime);
    const { id: runtimeId, etag, name, url, labels, isDefault } = runtime;
    await createClient(RuntimeService, transport).deleteRuntime({ workspaceId, runtimeId, etag });
    const order = { workspaceId, idempotencyKey: newIdempotencyKey(), name, url, labels, isDefault };
    return succeeded(transport, revoked, order);
  });
}

/** Makes the new record of one that was replaced by half. */
export function useFinishReplacement(workspaceId: string, onReplaced: (replacement: Replacement) => void) {
  return useReplacement(workspaceId, onReplaced, (transport, { revoked, order }: HalfReplaced) =>
    succeeded(transport, revoked, order),
  );
}

function useReplacement<T>(
  workspaceId: string,
  onReplaced: (replacement: Replacement) => void,
  replace: (transport: Transport, of: T) => Promise<Replacement>,
) {
  const { transport } = useApi();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (of: T) => replace(transport, of),
    onSuccess: onReplaced,
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "runtimes"] }),
  });
}

/** Never rejects: there is no way back from here. */
async function succeeded(transport: Transport, revoked: Revoked, order: Order): Promise<Replacement> {
  try {
    const { runtime: successor } = await createClient(RuntimeService, transport).createRuntime(order);
    if (!successor) throw new Trouble("SPIN answered without the runtime.");
    return { kind: "replaced", revoked, successor };
  } catch (error) {
    return { kind: "half", revoked, order, error };
  }
}
