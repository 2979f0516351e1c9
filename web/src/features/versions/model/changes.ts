/** What became of a notebook's cells between two of its versions. Pure. Cells are matched by their ids; outputs are no part of a version's text. */
import type { Cell, Notebook } from "../../../gen/spinapis/workspace/v1/notebooks_pb";

export interface CellChange {
  readonly id: string;
  readonly kind: "same" | "changed" | "added" | "removed";
  readonly moved: boolean;
  /** Absent when the older version does not have the cell. */
  readonly before: Cell | undefined;
  readonly now: Cell | undefined;
}

/** In the order of the newer version; what it lost stands where it stood. */
export function cellChanges(before: Notebook, now: Notebook): CellChange[] {
  const old = new Map(before.cells.map((cell) => [cell.id, cell]));
  const kept = new Set(now.cells.map((cell) => cell.id));
  const settled = unmoved(before.cells, now.cells);
  const changes = now.cells.map((cell): CellChange => {
    const was = old.get(cell.id);
    if (!was) return { id: cell.id, kind: "added", moved: false, before: undefined, now: cell };
    const kind = cellText(was) === cellText(cell) ? "same" : "changed";
    return { id: cell.id, kind, moved: !settled.has(cell.id), before: was, now: cell };
  });
  before.cells.forEach((cell, at) => {
    if (kept.has(cell.id)) return;
    const above = before.cells[at - 1];
    const place = above ? changes.findIndex((change) => change.id === above.id) + 1 : 0;
    changes.splice(place, 0, { id: cell.id, kind: "removed", moved: false, before: cell, now: undefined });
  });
  return changes;
}

/** A cell as a text to compare: what it is, its fields line by line, its source. */
export function cellText(cell: Cell | undefined): string {
  if (!cell) return "";
  const head = [cell.linked ? "# runs after the cell above" : "", ...fieldLines(cell.fieldsJson)].filter(Boolean);
  return [...head, cell.source].filter((line) => line !== "").join("\n");
}

/** In one line, for people: "2 cells changed, 1 added". */
export function summaryOf(before: Notebook, now: Notebook, changes: readonly CellChange[]): string {
  const count = (kind: CellChange["kind"]): number => changes.filter((change) => change.kind === kind).length;
  const moved = changes.filter((change) => change.moved).length;
  const parts = [
    before.title === now.title ? "" : "the title",
    counted(count("changed"), "changed"),
    counted(count("added"), "added since"),
    counted(count("removed"), "removed since"),
    counted(moved, "moved"),
  ];
  return parts.filter(Boolean).join(", ") || "nothing differs";
}

function counted(count: number, what: string): string {
  return count === 0 ? "" : `${count} ${count === 1 ? "cell" : "cells"} ${what}`;
}

function fieldLines(fieldsJson: string): string[] {
  if (!fieldsJson) return [];
  try {
    const fields = JSON.parse(fieldsJson) as Record<string, unknown>;
    return Object.keys(fields)
      .sort()
      .map((name) => `# ${name}: ${JSON.stringify(fields[name])}`);
  } catch {
    // Kept as it came: the compiler says what is wrong with it.
    return [fieldsJson];
  }
}

/** The longest run of cells that kept their order; the others moved. */
function unmoved(before: readonly Cell[], now: readonly Cell[]): Set<string> {
  const place = new Map(before.map((cell, at) => [cell.id, at]));
  const common = now.filter((cell) => place.has(cell.id));
  const best: { id: string; at: number; length: number; above: number }[] = [];
  common.forEach((cell, i) => {
    const at = place.get(cell.id) ?? 0;
    let above = -1;
    for (let j = 0; j < i; j += 1) {
      const other = best[j];
      if (other && other.at < at && other.length > (best[above]?.length ?? 0)) above = j;
    }
    best.push({ id: cell.id, at, length: (best[above]?.length ?? 0) + 1, above });
  });
  let end = best.reduce((winner, entry, i) => (entry.length > (best[winner]?.length ?? 0) ? i : winner), 0);
  const settled = new Set<string>();
  for (let entry = best[end]; entry; entry = best[end]) {
    settled.add(entry.id);
    end = entry.above;
  }
  return settled;
}
