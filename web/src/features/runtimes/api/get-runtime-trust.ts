import { useQuery } from "@tanstack/react-query";
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { useApi } from "../../../shared/api/context";
import { problemOf } from "../../../shared/api/problem";
import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { type RuntimeTrust, getRuntimeTrust } from "../../../shared/trust/enrolment";

/** How far a runtime has come: unpaired, paired, confirmed; with its enrolment, verified here. */
export function useRuntimeTrust(workspaceId: string, runtime: Runtime) {
  const { transport } = useApi();
  return useQuery({
    queryKey: [workspaceId, "runtimes", runtime.id, "trust"],
    queryFn: async (): Promise<RuntimeTrust> => {
      try {
        return await getRuntimeTrust(transport, workspaceId, runtime.id, [workspaceId, runtime.workspaceId]);
      } catch (error) {
        // Nothing was ever enrolled for it.
        if (problemOf(error).reason === ErrorReason.NOT_FOUND) return { status: "unpaired" };
        throw error;
      }
    },
  });
}
