import { type Transport, createClient } from "@connectrpc/connect";
import { NotebookService } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { Trouble } from "../../../shared/api/problem";
import type { DocumentCalls } from "../model/document-store";

/** How the editor saves its notebook and reads it again. */
export function documentCalls(transport: Transport, workspaceId: string, notebookId: string): DocumentCalls {
  const client = createClient(NotebookService, transport);
  const present = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Trouble("SPIN answered without the notebook.", "Try again.");
    return value;
  };
  return {
    load: async () => present((await client.getNotebook({ workspaceId, notebookId })).notebook),
    save: async (document, etag) => {
      const { title, cells, metadataJson } = document;
      const order = { workspaceId, notebookId, etag, title, cells: [...cells], metadataJson };
      return present((await client.updateNotebook(order)).notebook);
    },
  };
}
