import { create } from "@bufbuild/protobuf";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CellSchema, NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { newCellId, newIdempotencyKey } from "../../../shared/bytes";

export function useCreateNotebook(workspaceId: string) {
  const client = useClient(NotebookService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (title: string) => {
      const cells = [create(CellSchema, { id: newCellId(), cellType: "python" })];
      const order = { workspaceId, idempotencyKey: newIdempotencyKey(), title, cells };
      return (await client.createNotebook(order)).notebook;
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: [workspaceId, "notebooks"] }),
  });
}
