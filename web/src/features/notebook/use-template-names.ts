/** What templates may name in the notebook as it is when somebody asks. */
import { useCallback } from "react";
import { useSecretNames } from "./api/list-secret-names";
import type { DocumentStore } from "./model/document-store";
import { type TemplateNames, namesIn } from "./model/templates";

export function useTemplateNames(workspaceId: string, store: DocumentStore, mayRun: boolean): () => TemplateNames {
  const secrets = useSecretNames(workspaceId, mayRun).data;
  return useCallback(() => namesIn(store.view.document.cells, secrets ?? []), [store, secrets]);
}
