import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { useClient } from "../../../shared/api/context";
import { usePagedList } from "../../../shared/api/pages";

export function useNotebooks(workspaceId: string) {
  const client = useClient(NotebookService);
  return usePagedList([workspaceId, "notebooks"], async (pageToken) => {
    const page = await client.listNotebooks({ workspaceId, pageToken, pageSize: 50 });
    return { items: page.notebooks, nextPageToken: page.nextPageToken };
  });
}
