import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { Notebook } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";

/** Makes a new version that equals an old one. The etag is of what the person compared with: newer work is not overwritten unseen. */
export function useRestoreVersion(present: Notebook, onRestored: () => void) {
  const client = useClient(NotebookService);
  const queries = useQueryClient();
  const { workspaceId, id: notebookId, etag } = present;
  return useMutation({
    mutationFn: (version: bigint) => client.restoreNotebookVersion({ workspaceId, notebookId, version, etag }),
    onSuccess: onRestored,
    onSettled: () => queries.invalidateQueries({ queryKey: [workspaceId, "notebook", notebookId] }),
  });
}
