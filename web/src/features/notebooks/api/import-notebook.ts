import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Notebook, NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { newIdempotencyKey } from "../../../shared/bytes";
import { Trouble } from "../../../shared/api/problem";

const LIMIT = 4 * 1024 * 1024;

/** `onMade` belongs to the call: the list that it changes may take the button away that began it. */
export function useImportNotebook(workspaceId: string, onMade: (notebook: Notebook | undefined) => void) {
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
    onSuccess: (notebook) => {
      onMade(notebook);
      return queries.invalidateQueries({ queryKey: [workspaceId, "notebooks"] });
    },
  });
}
