/**
 * What runs after what. A linked cell belongs to the one above: it runs when that succeeded, and an error stops the chain. Cells that are
 * not linked run whatever became of the others.
 */
import type { Cell } from "../../../gen/spinapis/workspace/v1/notebooks_pb";

/** Cells that run one after another, each when the one before succeeded. */
export type Chain = readonly Cell[];

export type Executable = (cell: Cell) => boolean;

export function chainsOf(cells: readonly Cell[], executable: Executable): Chain[] {
  const chains: Cell[][] = [];
  for (const cell of cells.filter(executable)) {
    const last = chains.at(-1);
    if (cell.linked && last) last.push(cell);
    else chains.push([cell]);
  }
  return chains;
}

/** The cell and the linked ones below it. */
export function chainFrom(cells: readonly Cell[], cellId: string, executable: Executable): Chain {
  const at = cells.findIndex((cell) => cell.id === cellId);
  const [first, ...rest] = cells.slice(at).filter(executable);
  if (!first || first.id !== cellId) return [];
  const end = rest.findIndex((cell) => !cell.linked);
  return [first, ...(end < 0 ? rest : rest.slice(0, end))];
}

/** Runs chains in their order: the next one is handed over when the last cell of this one has been, or the chain has stopped. */
export async function runChains(chains: readonly Chain[], run: (cell: Cell) => Promise<boolean>): Promise<void> {
  const ends: Promise<unknown>[] = [];
  for (const chain of chains) {
    for (const [i, cell] of chain.entries()) {
      const end = run(cell);
      ends.push(end);
      const more = i < chain.length - 1;
      if (more && !(await end)) break;
    }
  }
  await Promise.all(ends);
}
