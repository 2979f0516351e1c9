import { useQuery } from "@tanstack/react-query";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";

export function useNotebook(workspaceId: string, notebookId: string) {
  const client = useClient(NotebookService);
  return useQuery({
    queryKey: [workspaceId, "notebook", notebookId],
    queryFn: async () => {
      const { notebook } = await client.getNotebook({ workspaceId, notebookId });
      if (!notebook) throw new Trouble("SPIN answered without the notebook.", "Try again.");
      return notebook;
    },
    // The editor owns the notebook from here on; it must not change under it.
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
  });
}
