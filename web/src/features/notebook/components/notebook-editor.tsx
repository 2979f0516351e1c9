import { type KeyboardEvent, useRef, useState } from "react";
import type { CellType } from "../../../gen/spinapis/compiler/v1/compiler_pb";
import type { Notebook } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import type { Runtime } from "../../../gen/spinapis/workspace/v1/workspaces_pb";
import { ProblemNotice } from "../../../shared/ui";
import type { SessionHandle } from "../../session";
import type { DocumentStore, DocumentView } from "../model/document-store";
import { type Actions, pressed } from "../model/keys";
import type { TemplateNames } from "../model/templates";
import type { Editor } from "../use-editor";
import { CellFrame } from "./cell-frame";
import { ConflictNotice } from "./conflict-notice";
import { HandOverNotice } from "./hand-over-notice";
import { InsertBar } from "./insert-bar";
import { KeysDialog } from "./keys-dialog";
import { RestartDialog } from "./restart-dialog";
import { SessionNotices } from "./session-notices";
import { Toolbar } from "./toolbar";

export interface EditorProps {
  notebook: Notebook;
  store: DocumentStore;
  view: DocumentView;
  editor: Editor;
  handle: SessionHandle;
  cellTypes: readonly CellType[];
  runtimes: readonly Runtime[];
  runtime: Runtime | undefined;
  problem: unknown;
  /** What templates may name. */
  templates: () => TemplateNames;
  onChooseRuntime: (runtimeId: string) => void;
}

export function NotebookEditor(props: EditorProps) {
  const { store, view, editor, handle, cellTypes } = props;
  const [help, setHelp] = useState(false);
  const [restarting, setRestarting] = useState(false);
  const half = useRef("");
  const actions: Actions = {
    ...editor,
    interrupt: () => handle.session?.kernel.interrupt(),
    restart: () => {
      if (handle.session) setRestarting(true);
    },
    save: () => void store.flush(),
    setType: (cellType) => {
      store.edit({ kind: "type", cellId: editor.selection.cellId, cellType });
    },
    showHelp: () => {
      setHelp(true);
    },
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const saves = (event.ctrlKey || event.metaKey) && event.key === "s";
    if (!saves && (editor.selection.mode !== "command" || takesKeys(event.target))) return;
    const { shortcut, waiting } = pressed(event, half.current);
    half.current = waiting;
    if (!shortcut) return;
    event.preventDefault();
    shortcut.act(actions);
  };

  return (
    <div className="notebook" onKeyDown={onKeyDown}>
      <Toolbar {...props} actions={actions} />
      <SessionNotices handle={handle} />
      <HandOverNotice handle={handle} workspaceId={props.notebook.workspaceId} />
      {view.save.kind === "conflict" && <ConflictNotice store={store} />}
      {editor.busyError !== undefined && <ProblemNotice error={editor.busyError} onDismiss={editor.dismissError} />}
      {Boolean(props.problem) && <ProblemNotice error={props.problem} />}
      <div className="notebook__cells" role="list" aria-label="Cells">
        {view.document.cells.map((cell, at) => (
          <CellFrame
            key={cell.id}
            cell={cell}
            at={at}
            count={view.document.cells.length}
            type={cellTypes.find((type) => type.name === cell.cellType)}
            cellTypes={cellTypes}
            store={store}
            editor={editor}
            session={handle.session}
            templates={props.templates}
          />
        ))}
      </div>
      <InsertBar
        cellTypes={cellTypes}
        onInsert={(type) => {
          editor.insert(view.document.cells.length, type);
        }}
      />
      {restarting && (
        <RestartDialog
          session={handle.session}
          onClose={() => {
            setRestarting(false);
          }}
        />
      )}
      {help && (
        <KeysDialog
          onClose={() => {
            setHelp(false);
          }}
        />
      )}
    </div>
  );
}

/** Fields and buttons keep their own keys. */
function takesKeys(target: EventTarget): boolean {
  return (
    target instanceof HTMLElement &&
    target.closest("input, textarea, select, button, a, summary, .cm-editor, [role=menu], dialog") !== null
  );
}
