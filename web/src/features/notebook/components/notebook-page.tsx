import { useState } from "react";
import type { Notebook } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { Loading, ProblemNotice } from "../../../shared/ui";
import { useStanding } from "../../members";
import { useRuntimes } from "../../runtimes";
import { useLiveSession } from "../../session";
import { useCellTypes } from "../api/list-cell-types";
import { useNotebook } from "../api/get-notebook";
import { kernelNameOf } from "../model/kernel-name";
import { chosenRuntime, keepRuntimeChoice, runtimeChoice } from "../model/runtime-choice";
import { useDocument } from "../use-document";
import { useEditor } from "../use-editor";
import { useTemplateNames } from "../use-template-names";
import { useKeptOutputs } from "../use-kept-outputs";
import { NotebookEditor } from "./notebook-editor";
import "./notebook.css";

interface Props {
  workspaceId: string;
  notebookId: string;
}

export function NotebookPage({ workspaceId, notebookId }: Props) {
  const notebook = useNotebook(workspaceId, notebookId);
  if (notebook.isPending) return <Loading what="the notebook" />;
  if (notebook.isError) return <ProblemNotice error={notebook.error} onRetry={() => void notebook.refetch()} />;
  return <OpenNotebook notebook={notebook.data} />;
}

function OpenNotebook({ notebook }: { notebook: Notebook }) {
  const { workspaceId, id: notebookId } = notebook;
  const { store, view } = useDocument(notebook);
  const cellTypes = useCellTypes();
  const runtimes = useRuntimes(workspaceId);
  const [choice, setChoice] = useState(() => runtimeChoice(notebookId));
  const runtime = runtimes.data && chosenRuntime(runtimes.data, choice);
  const kernelName = kernelNameOf(notebook.metadataJson);
  const { role, refusal } = useStanding(workspaceId);
  const handle = useLiveSession({ workspaceId, notebookId, runtime, runtimeError: runtimes.error, kernelName });
  const editor = useEditor(store, handle, cellTypes.data ?? [], refusal("run"));
  const templates = useTemplateNames(workspaceId, store, role !== undefined && !refusal("run"));
  useKeptOutputs(handle.session, store, notebook);
  return (
    <NotebookEditor
      notebook={notebook}
      store={store}
      view={view}
      editor={editor}
      handle={handle}
      cellTypes={cellTypes.data ?? []}
      runtimes={runtimes.data ?? []}
      runtime={runtime ?? undefined}
      templates={templates}
      problem={cellTypes.error ?? runtimes.error}
      onChooseRuntime={(runtimeId) => {
        keepRuntimeChoice(notebookId, runtimeId);
        setChoice(runtimeId);
      }}
    />
  );
}
