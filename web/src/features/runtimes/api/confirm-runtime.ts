import { useMutation, useQueryClient } from "@tanstack/react-query";
import { EnrolmentService } from "../../../gen/spinapis/auth/v1/trust_pb";
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useClient } from "../../../shared/api/context";
import { fromHex } from "../../../shared/bytes";

/** Says that the person compared this fingerprint; auth refuses any other one. */
export function useConfirmRuntime(runtime: Runtime) {
  const client = useClient(EnrolmentService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (fingerprint: string) =>
      client.confirmRuntime({
        workspaceId: runtime.workspaceId,
        runtimeId: runtime.id,
        fingerprint: fromHex(fingerprint.replaceAll(/[^0-9a-f]/gi, "")),
      }),
    onSuccess: () => queries.invalidateQueries({ queryKey: [runtime.workspaceId, "runtimes"] }),
  });
}
