/** What the keys and buttons of the editor do. */
import { create } from "@bufbuild/protobuf";
import { useMemo, useRef, useState } from "react";
import type { CellType } from "../../gen/spinapis/compiler/v1/compiler_pb";
import { RunStatus } from "../../gen/spinapis/envelope/v1/receipt_pb";
import { type Cell, CellSchema } from "../../gen/spinapis/workspace/v1/notebooks_pb";
import { Trouble } from "../../shared/api/problem";
import { newCellId } from "../../shared/bytes";
import type { SessionHandle } from "../session";
import { type NotebookDocument, copyOf, indexOfCell } from "./model/document";
import type { DocumentStore } from "./model/document-store";
import { chainFrom, chainsOf, runChains } from "./model/run-plan";

export interface Selection {
  cellId: string;
  /** Keys go to the cell's text, or to the notebook. */
  mode: "command" | "edit";
}

export interface Editor {
  selection: Selection;
  busyError: unknown;
  select: (cellId: string, mode: Selection["mode"]) => void;
  step: (by: number, mode: Selection["mode"]) => void;
  insert: (at: number, cellType?: string) => void;
  insertNear: (place: "above" | "below", mode: Selection["mode"]) => void;
  remove: (cellId: string) => void;
  undoRemove: () => void;
  move: (cellId: string, by: number) => void;
  moveTo: (cellId: string, to: number) => void;
  duplicate: (cellId: string) => void;
  copy: (cut: boolean) => void;
  paste: () => void;
  run: (cellId: string) => void;
  runAndAdvance: (cellId: string) => void;
  runAll: () => void;
  executable: (cell: Cell) => boolean;
  /** Why the person's role runs nothing; undefined when it does. */
  whyNotRun: string | undefined;
  dismissError: () => void;
}

const FIRST_TYPE = "python";

export function useEditor(
  store: DocumentStore,
  handle: SessionHandle,
  cellTypes: readonly CellType[],
  whyNotRun: string | undefined,
): Editor {
  const [selection, setSelection] = useState<Selection>({
    cellId: store.view.document.cells[0]?.id ?? "",
    mode: "command",
  });
  const [busyError, setBusyError] = useState<unknown>();
  const removed = useRef<{ at: number; cell: Cell }[]>([]);
  const clipboard = useRef<Cell>(undefined);
  const types = useMemo(() => new Map(cellTypes.map((type) => [type.name, type])), [cellTypes]);

  const doc = (): NotebookDocument => store.view.document;
  const at = (cellId: string): number => indexOfCell(doc(), cellId);
  const executable = (cell: Cell): boolean =>
    types.get(cell.cellType)?.executable ?? (cell.cellType !== "markdown" && cell.cellType !== "raw");
  const select: Editor["select"] = (cellId, mode) => {
    setSelection((now) => (now.cellId === cellId && now.mode === mode ? now : { cellId, mode }));
  };
  const place = (position: number, cell: Cell, mode: Selection["mode"]): void => {
    store.edit({ kind: "insert", at: position, cell });
    select(cell.id, mode);
  };
  const blank = (cellType = FIRST_TYPE): Cell => create(CellSchema, { id: newCellId(), cellType });

  const runCell = async (cell: Cell, stopOnError: boolean): Promise<boolean> => {
    const session = await handle.connect();
    const { id: cellId, cellType, source, fieldsJson } = cell;
    const outcome = await session.run({ cellId, cellType, source, fieldsJson, stopOnError });
    return outcome.kind === "ended" && outcome.status === RunStatus.OK;
  };
  const start = (act: () => Promise<void>): void => {
    if (whyNotRun !== undefined) {
      setBusyError(new Trouble("This cell was not run.", whyNotRun));
      return;
    }
    setBusyError(undefined);
    act().catch(setBusyError);
  };

  const run = (cellId: string): void => {
    const cell = doc().cells[at(cellId)];
    if (!cell || !executable(cell)) return;
    start(async () => {
      // Agents run saved cells alone, and the log names the version: what runs is saved first.
      await store.flush();
      await runChains([chainFrom(doc().cells, cellId, executable)], (next) => runCell(next, true));
    });
  };

  return {
    selection,
    busyError,
    executable,
    whyNotRun,
    select,
    run,
    step: (by, mode) => {
      const next = doc().cells[at(selection.cellId) + by];
      if (next) select(next.id, mode);
    },
    insert: (position, cellType) => {
      place(position, blank(cellType), "edit");
    },
    insertNear: (where, mode) => {
      place(at(selection.cellId) + (where === "below" ? 1 : 0), blank(), mode);
    },
    remove: (cellId) => {
      const position = at(cellId);
      const cell = doc().cells[position];
      if (!cell) return;
      removed.current.push({ at: position, cell });
      store.edit({ kind: "delete", cellId });
      if (doc().cells.length === 0) store.edit({ kind: "insert", at: 0, cell: blank() });
      const next = doc().cells[Math.min(position, doc().cells.length - 1)];
      if (next) select(next.id, "command");
    },
    undoRemove: () => {
      const last = removed.current.pop();
      if (last) place(Math.min(last.at, doc().cells.length), last.cell, "command");
    },
    move: (cellId, by) => {
      store.edit({ kind: "move", cellId, to: at(cellId) + by });
    },
    moveTo: (cellId, to) => {
      store.edit({ kind: "move", cellId, to });
    },
    duplicate: (cellId) => {
      const cell = doc().cells[at(cellId)];
      if (cell) place(at(cellId) + 1, copyOf(cell, newCellId()), "command");
    },
    copy: (cut) => {
      clipboard.current = doc().cells[at(selection.cellId)];
      if (cut && clipboard.current) {
        const { id } = clipboard.current;
        const position = at(id);
        store.edit({ kind: "delete", cellId: id });
        const next = doc().cells[Math.min(position, doc().cells.length - 1)];
        if (next) select(next.id, "command");
      }
    },
    paste: () => {
      if (clipboard.current) place(at(selection.cellId) + 1, copyOf(clipboard.current, newCellId()), "command");
    },
    runAndAdvance: (cellId) => {
      run(cellId);
      const next = doc().cells[at(cellId) + 1];
      if (next) select(next.id, "command");
      else place(doc().cells.length, blank(), "edit");
    },
    runAll: () => {
      start(async () => {
        await store.flush();
        await runChains(chainsOf(doc().cells, executable), (cell) => runCell(cell, cell.linked));
      });
    },
    dismissError: () => {
      setBusyError(undefined);
    },
  };
}
