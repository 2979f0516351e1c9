import { useQuery } from "@tanstack/react-query";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { Trouble } from "../../../shared/api/problem";

/** The notebook as it is saved now; read again whenever anyone saves it. */
export function usePresent(workspaceId: string, notebookId: string) {
  const client = useClient(NotebookService);
  return useQuery({
    queryKey: [workspaceId, "notebook", notebookId, "present"],
    queryFn: async () => {
      const { notebook } = await client.getNotebook({ workspaceId, notebookId });
      if (!notebook) throw new Trouble("SPIN answered without the notebook.", "Try again.");
      return notebook;
    },
  });
}
