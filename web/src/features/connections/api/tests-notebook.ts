import { type Transport, createClient } from "@connectrpc/connect";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { Trouble } from "../../../shared/api/problem";
import { allPages } from "../../../shared/api/pages";
import { newIdempotencyKey } from "../../../shared/bytes";

/** The same that `spinctl connection test` uses. */
const TITLE = "Connection tests";

/** The notebook that tests run in, because a session belongs to one; made when it is first needed. */
export async function testsNotebook(transport: Transport, workspaceId: string): Promise<string> {
  const client = createClient(NotebookService, transport);
  const notebooks = await allPages(async (pageToken) => {
    const page = await client.listNotebooks({ workspaceId, pageToken, pageSize: 100 });
    return { items: page.notebooks, nextPageToken: page.nextPageToken };
  });
  const found = notebooks.find(({ title }) => title === TITLE);
  if (found) return found.id;
  const { notebook } = await client.createNotebook({ workspaceId, idempotencyKey: newIdempotencyKey(), title: TITLE });
  if (!notebook) throw new Trouble("SPIN answered without the notebook.", "Try again.");
  return notebook.id;
}
