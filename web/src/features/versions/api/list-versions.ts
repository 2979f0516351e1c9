import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { usePagedList } from "../../../shared/api/pages";

export function useVersions(workspaceId: string, notebookId: string) {
  const client = useClient(NotebookService);
  return usePagedList([workspaceId, "notebook", notebookId, "versions"], async (pageToken) => {
    const page = await client.listNotebookVersions({ workspaceId, notebookId, pageToken, pageSize: 50 });
    return { items: page.versions, nextPageToken: page.nextPageToken };
  });
}
