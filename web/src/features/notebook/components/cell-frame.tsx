import { memo, useEffect, useMemo, useRef, useState } from "react";
import type { CellType } from "../../../gen/spinapis/compiler/v1/compiler_pb";
import type { Cell } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { NO_OUTPUTS, OutputsView, outputsFromNbformat } from "../../outputs";
import { type LiveSession, useSessionPart } from "../../session";
import type { DocumentStore } from "../model/document-store";
import { cellState } from "../model/cell-state";
import type { TemplateNames } from "../model/templates";
import type { Editor } from "../use-editor";
import { CellBar } from "./cell-bar";
import { CellBody } from "./cell-body";
import { CellRunNote } from "./cell-run-note";
import { Questions } from "./questions";
import { RunButton } from "./run-button";

export interface CellProps {
  cell: Cell;
  at: number;
  count: number;
  type: CellType | undefined;
  cellTypes: readonly CellType[];
  store: DocumentStore;
  editor: Editor;
  session: LiveSession | undefined;
  /** What templates may name. */
  templates: () => TemplateNames;
}

/** One cell: what is typed, how its run stands, what it printed. */
export const CellFrame = memo(function CellFrame(props: CellProps) {
  const { cell, at, editor, session } = props;
  const { id } = cell;
  const selected = editor.selection.cellId === id;
  const editing = selected && editor.selection.mode === "edit";
  const executable = editor.executable(cell);
  const live = useSessionPart(session, (view) => view.stream.cells[id]);
  const run = useSessionPart(session, (view) => view.stream.runs[view.stream.latest[id] ?? ""]);
  const submission = useSessionPart(session, (view) => view.submissions[id]);
  const saved = useMemo(
    () => (executable ? outputsFromNbformat(cell.outputsJson, cell.executionCount) : NO_OUTPUTS),
    [executable, cell.outputsJson, cell.executionCount],
  );
  const outputs = executable ? (live?.outputs ?? saved) : saved;
  const state = cellState(run, submission);
  const [options, setOptions] = useState(false);
  const frame = useRef<HTMLDivElement>(null);

  useEffect(() => {
    // In command mode the cell itself has the focus, so that keys and screen readers know where they are.
    if (selected && !editing && !frame.current?.contains(document.activeElement))
      frame.current?.focus({ preventScroll: true });
    else if (selected && !editing && document.activeElement?.closest(".cm-editor"))
      frame.current?.focus({ preventScroll: true });
    if (selected) frame.current?.scrollIntoView({ block: "nearest" });
  }, [selected, editing]);

  return (
    <div
      ref={frame}
      role="listitem"
      className={`cell ${selected ? "cell--selected" : ""} ${editing ? "cell--editing" : ""} ${cell.linked ? "cell--linked" : ""}`}
      data-cell-id={id}
      data-cell-state={state.name}
      aria-label={`Cell ${at + 1}, ${props.type?.displayName ?? cell.cellType}${state.text ? `, ${state.text}` : ""}`}
      aria-current={selected}
      tabIndex={selected ? 0 : -1}
      onFocus={(event) => {
        if (event.target === frame.current) editor.select(id, "command");
      }}
      onPointerDown={(event) => {
        if (!(event.target as HTMLElement).closest(".cm-editor, button, input, select, textarea"))
          editor.select(id, "command");
      }}
    >
      <div className="cell__gutter">
        {executable && <RunButton {...props} state={state} run={run} />}
        {executable && (
          <span className="cell__count" aria-hidden="true">
            [{state.active ? "*" : (outputs.executionCount ?? " ")}]
          </span>
        )}
      </div>
      <div className="cell__main">
        <CellBar {...props} state={state} options={options} onOptions={setOptions} />
        <CellBody {...props} editing={editing} executable={executable} options={options} submission={submission} />
        <CellRunNote {...props} state={state} submission={submission} run={run} />
        <OutputsView outputs={outputs} label={`Output of cell ${at + 1}`} />
        {session && <Questions session={session} cellId={id} />}
      </div>
    </div>
  );
});
