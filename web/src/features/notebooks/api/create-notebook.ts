import { create } from "@bufbuild/protobuf";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CellSchema, type Notebook, NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { newCellId, newIdempotencyKey } from "../../../shared/bytes";

/** `onMade` belongs to the call: the list that it changes may take the button away that began it. */
export function useCreateNotebook(workspaceId: string, onMade: (notebook: Notebook | undefined) => void) {
  const client = useClient(NotebookService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (title: string) => {
      const cells = [create(CellSchema, { id: newCellId(), cellType: "python" })];
      const order = { workspaceId, idempotencyKey: newIdempotencyKey(), title, cells };
      return (await client.createNotebook(order)).notebook;
    },
    onSuccess: (notebook) => {
      onMade(notebook);
      return queries.invalidateQueries({ queryKey: [workspaceId, "notebooks"] });
    },
  });
}
