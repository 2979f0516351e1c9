import { useMutation } from "@tanstack/react-query";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { saveFile } from "../../../shared/files";

export function useExportNotebook(workspaceId: string) {
  const client = useClient(NotebookService);
  return useMutation({
    mutationFn: async (notebookId: string) => {
      const { ipynb, filename } = await client.exportNotebook({ workspaceId, notebookId });
      saveFile(filename || "notebook.ipynb", new Blob([new Uint8Array(ipynb)], { type: "application/x-ipynb+json" }));
    },
  });
}
