/** The notebook as it is edited: (document, edit) -> document. Pure; an edit that changes nothing gives the same document. */
import { create } from "@bufbuild/protobuf";
import { type Cell, CellSchema, type Notebook } from "../../../gen/spinapis/workspace/v1/notebooks_pb";

export interface NotebookDocument {
  readonly title: string;
  readonly cells: readonly Cell[];
  readonly metadataJson: string;
}

export type Edit =
  | { kind: "title"; title: string }
  | { kind: "source"; cellId: string; source: string }
  | { kind: "fields"; cellId: string; fieldsJson: string }
  | { kind: "type"; cellId: string; cellType: string }
  | { kind: "linked"; cellId: string; linked: boolean }
  | { kind: "insert"; at: number; cell: Cell }
  | { kind: "move"; cellId: string; to: number }
  | { kind: "delete"; cellId: string }
  | { kind: "outputs"; cellId: string; outputsJson: string; executionCount: number | undefined }
  | { kind: "clear"; cellId: string | undefined };

export function documentOf(notebook: Notebook): NotebookDocument {
  return { title: notebook.title, cells: notebook.cells, metadataJson: notebook.metadataJson };
}

export function applyEdit(document: NotebookDocument, edit: Edit): NotebookDocument {
  switch (edit.kind) {
    case "title":
      return edit.title === document.title ? document : { ...document, title: edit.title };
    case "source":
      return changed(document, edit.cellId, { source: edit.source });
    case "fields":
      return changed(document, edit.cellId, { fieldsJson: edit.fieldsJson });
    case "type":
      // Another type has other fields, and what the old one printed is not its output.
      return changed(document, edit.cellId, { cellType: edit.cellType, fieldsJson: "", outputsJson: "" });
    case "linked":
      return changed(document, edit.cellId, { linked: edit.linked });
    case "outputs":
      return changed(document, edit.cellId, { outputsJson: edit.outputsJson, executionCount: edit.executionCount });
    case "clear":
      return cleared(document, edit.cellId);
    case "insert":
      return { ...document, cells: document.cells.toSpliced(edit.at, 0, edit.cell) };
    case "delete":
      return { ...document, cells: document.cells.filter((cell) => cell.id !== edit.cellId) };
    case "move":
      return moved(document, edit.cellId, edit.to);
  }
}

export function indexOfCell(document: NotebookDocument, cellId: string): number {
  return document.cells.findIndex((cell) => cell.id === cellId);
}

/** A copy with another id and without outputs. */
export function copyOf(cell: Cell, id: string): Cell {
  return create(CellSchema, { ...withoutMessage(cell), id, outputsJson: "", executionCount: undefined });
}

function changed(document: NotebookDocument, cellId: string, change: Partial<Cell>): NotebookDocument {
  const at = indexOfCell(document, cellId);
  const cell = document.cells[at];
  if (!cell) return document;
  const same = Object.entries(change).every(([name, value]) => cell[name as keyof Cell] === value);
  if (same) return document;
  return { ...document, cells: document.cells.with(at, { ...cell, ...change }) };
}

function cleared(document: NotebookDocument, cellId: string | undefined): NotebookDocument {
  const ids = cellId === undefined ? document.cells.map((cell) => cell.id) : [cellId];
  return ids.reduce((result, id) => changed(result, id, { outputsJson: "", executionCount: undefined }), document);
}

function moved(document: NotebookDocument, cellId: string, to: number): NotebookDocument {
  const from = indexOfCell(document, cellId);
  const cell = document.cells[from];
  if (!cell || to === from || to < 0 || to >= document.cells.length) return document;
  return { ...document, cells: document.cells.toSpliced(from, 1).toSpliced(to, 0, cell) };
}

function withoutMessage(cell: Cell): Omit<Cell, "$typeName" | "$unknown"> {
  const { $typeName: _name, $unknown: _unknown, ...fields } = cell;
  return fields;
}
