/** Keeps with the notebook what its cells printed, once each run has ended, whoever started it. */
import { useEffect, useRef, useState } from "react";
import { RunPhase } from "../../gen/spinapis/runtime/v1/frames_pb";
import type { Notebook } from "../../gen/spinapis/workspace/v1/notebooks_pb";
import { useApi } from "../../shared/api/context";
import { outputsToNbformat } from "../outputs/model";
import type { LiveSession } from "../session";
import { saveCellOutputs } from "./api/save-cell-outputs";
import { indexOfCell } from "./model/document";
import type { DocumentStore } from "./model/document-store";

export function useKeptOutputs(session: LiveSession | undefined, store: DocumentStore, notebook: Notebook): void {
  const { transport } = useApi();
  const kept = useRef(new Set<string>());
  const { workspaceId, id: notebookId } = notebook;
  const [since] = useState(Number(notebook.updatedAtMs));
  useEffect(() => {
    if (!session) return undefined;
    const keep = async (cellId: string): Promise<void> => {
      const shown = session.view.stream.cells[cellId]?.outputs;
      const at = indexOfCell(store.view.document, cellId);
      const cell = store.view.document.cells[at];
      if (!shown || !cell) return;
      const outputsJson = outputsToNbformat(shown);
      if (outputsJson === (cell.outputsJson || "[]")) return;
      const { executionCount } = shown;
      const order = { workspaceId, notebookId, cellId, outputsJson, executionCount };
      if (await saveCellOutputs(transport, order)) store.setOutputs(cellId, outputsJson, executionCount);
    };
    return session.subscribe(() => {
      if (!session.view.caughtUp) return;
      for (const [cellId, view] of Object.entries(session.view.stream.cells)) {
        const run = session.view.stream.runs[view.runKey];
        if (run?.phase !== RunPhase.ENDED || kept.current.has(view.runKey)) continue;
        kept.current.add(view.runKey);
        // What ended before the notebook was saved last, when it was opened, is in it, or was cleared away on purpose.
        if (run.endedAtMs < since) continue;
        // A refusal, to a viewer for one, costs nothing: the session's history has the outputs.
        keep(cellId).catch(() => undefined);
      }
    });
  }, [session, store, workspaceId, notebookId, since, transport]);
}
