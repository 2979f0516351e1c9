import { useMutation, useQueryClient } from "@tanstack/react-query";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";

export function useDeleteNotebook(workspaceId: string) {
  const client = useClient(NotebookService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (order: { notebookId: string; etag: string }) => client.deleteNotebook({ workspaceId, ...order }),
    onSuccess: () => queries.invalidateQueries({ queryKey: [workspaceId, "notebooks"] }),
  });
}
