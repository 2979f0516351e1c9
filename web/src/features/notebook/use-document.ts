/** The open notebook's document: made once, saved when the page is left, told when others change it. */
import { useEffect, useState, useSyncExternalStore } from "react";
import type { Notebook } from "../../gen/spinapis/workspace/v1/notebooks_pb";
import { useApi } from "../../shared/api/context";
import { documentCalls } from "./api/save-notebook";
import { DocumentStore, type DocumentView } from "./model/document-store";

export function useDocument(notebook: Notebook): { store: DocumentStore; view: DocumentView } {
  const { transport } = useApi();
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

  // The workspace's watch has the notebook read again when anyone saved it.
  useEffect(() => {
    store.offer(notebook);
  }, [store, notebook]);
  return { store, view };
}
