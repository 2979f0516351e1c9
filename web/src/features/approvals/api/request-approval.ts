import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type CellDefinition, CompilerService } from "../../../gen/spinapis/compiler/v1/compiler_pb";
import { useClient } from "../../../shared/api/context";

/** One run of one cell, as it is now. */
export interface Wanted {
  workspaceId: string;
  notebookId: string;
  sessionId: string;
  cellId: string;
  kernelLanguage: string;
  cell: Pick<CellDefinition, "cellType" | "source" | "fieldsJson">;
}

/** Repeating it gives the request that is open. */
export function useRequestApproval(workspaceId: string) {
  const client = useClient(CompilerService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ wanted, note }: { wanted: Promise<Wanted>; note: string }) =>
      (await client.requestApproval({ ...(await wanted), note })).approval,
    onSuccess: () => queries.invalidateQueries({ queryKey: [workspaceId, "approvals"] }),
  });
}
