import { useQuery } from "@tanstack/react-query";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";

/** A version never changes, so it is read once. */
export function useVersion(workspaceId: string, notebookId: string, version: bigint | undefined) {
  const client = useClient(NotebookService);
  return useQuery({
    queryKey: [workspaceId, "notebook-version", notebookId, String(version)],
    queryFn: async () => {
      const { notebook } = await client.getNotebookVersion({ workspaceId, notebookId, version: version ?? 0n });
      if (!notebook) throw new Trouble("SPIN answered without the version.", "Try again.");
      return notebook;
    },
    enabled: version !== undefined,
    staleTime: Infinity,
  });
}
