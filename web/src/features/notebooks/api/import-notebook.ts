import { useMutation, useQueryClient } from "@tanstack/react-query";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { newIdempotencyKey } from "../../../shared/bytes";
import { Trouble } from "../../../shared/api/problem";

const LIMIT = 4 * 1024 * 1024;

export function useImportNotebook(workspaceId: string) {
  const client = useClient(NotebookService);
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (file: File) => {
      if (file.size > LIMIT) {
        throw new Trouble(`${file.name} is over 4 MiB.`, "Clear its largest outputs and import it again.");
      }
      const ipynb = new Uint8Array(await file.arrayBuffer());
      const title = file.name.replace(/\.ipynb$/i, "");
      const order = { workspaceId, idempotencyKey: newIdempotencyKey(), title, ipynb };
      return (await client.importNotebook(order)).notebook;
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: [workspaceId, "notebooks"] }),
  });
}
