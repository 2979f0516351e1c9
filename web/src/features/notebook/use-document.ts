/** The open notebook's document: made once, saved when the page is left, told when others change it. */
import { useEffect, useState, useSyncExternalStore } from "react";
import { useQueryClient } from "@tanstack/react-query";
import type { Notebook } from "../../gen/spinapis/workspace/v1/notebooks_pb";
import { useApi } from "../../shared/api/context";
import { documentCalls } from "./api/save-notebook";
import { DocumentStore, type DocumentView } from "./model/document-store";

export function useDocument(notebook: Notebook): { store: DocumentStore; view: DocumentView } {
  const { transport } = useApi();
  const queries = useQueryClient();
  const [store] = useState(
    () => new DocumentStore(notebook, documentCalls(transport, notebook.workspaceId, notebook.id)),
  );
  const view = useSyncExternalStore(store.subscribe, () => store.view);

  useEffect(() => {
    const leaving = (event: BeforeUnloadEvent): void => {
      if (store.view.save.kind === "saved") return;
      void store.flush();
      event.preventDefault();
    };
    const hidden = (): void => {
      if (document.visibilityState === "hidden") void store.flush();
    };
    window.addEventListener("beforeunload", leaving);
    document.addEventListener("visibilitychange", hidden);
    return () => {
      window.removeEventListener("beforeunload", leaving);
      document.removeEventListener("visibilitychange", hidden);
      void store.flush();
    };
  }, [store]);

  // The workspace's watch marks the list of notebooks stale when anyone saves one: that is when to look at this one.
  useEffect(() => {
    const cache = queries.getQueryCache();
    return cache.subscribe((event) => {
      const [workspaceId, list] = event.query.queryKey;
      if (event.type === "updated" && event.action.type === "invalidate" && workspaceId === notebook.workspaceId && list === "notebooks") {
        store.refresh().catch(() => undefined);
      }
    });
  }, [queries, store, notebook.workspaceId]);
  return { store, view };
}
