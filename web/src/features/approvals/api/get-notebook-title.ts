import { useQuery } from "@tanstack/react-query";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";

export function useNotebookTitle(workspaceId: string, notebookId: string) {
  const client = useClient(NotebookService);
  return useQuery({
    queryKey: [workspaceId, "notebook", notebookId, "title"],
    queryFn: async () => (await client.getNotebook({ workspaceId, notebookId })).notebook?.title || "Untitled",
    staleTime: 60_000,
  });
}
