import type { Notebook } from "../../../gen/spinapis/workspace/v1/notebooks_pb";
import { Notice } from "../../../shared/ui";
import { type CellChange, cellChanges, cellText, summaryOf } from "../model/changes";
import { TextDiff } from "./text-diff";

const MARK: Record<CellChange["kind"], string> = {
  same: "unchanged",
  changed: "changed since",
  added: "added since",
  removed: "removed since",
};

/** What differs between a version and the notebook as it is now. Cells that are the same are left out. */
export function VersionChanges({ before, now }: { before: Notebook; now: Notebook }) {
  const changes = cellChanges(before, now);
  const shown = changes.filter((change) => change.kind !== "same" || change.moved);
  return (
    <div className="stack">
      <p role="status">
        Since then: <strong>{summaryOf(before, now, changes)}</strong>.
      </p>
      {before.title !== now.title && <TextDiff label="Title" before={before.title} now={now.title} />}
      {shown.length === 0 && before.title === now.title && (
        <Notice tone="plain" title="The cells are as they are now; outputs are not compared." />
      )}
      {shown.map((change) => (
        <CellChangeView key={change.id} change={change} />
      ))}
    </div>
  );
}

function CellChangeView({ change }: { change: CellChange }) {
  const cell = change.now ?? change.before;
  const mark = change.kind === "same" ? "moved" : `${MARK[change.kind]}${change.moved ? ", moved" : ""}`;
  const label = `${cell?.cellType ?? ""} cell ${change.id}: ${mark}`;
  return (
    <section className="versions__cell" aria-label={label}>
      <header className="versions__head">
        <span className="tag">{cell?.cellType}</span>
        <span className={`versions__mark versions__mark--${change.kind}`}>{mark}</span>
        <code>{change.id}</code>
      </header>
      <TextDiff label={label} before={cellText(change.before)} now={cellText(change.now)} />
    </section>
  );
}

/** A version as it was, without outputs. */
export function VersionText({ version }: { version: Notebook }) {
  return (
    <div className="stack">
      <h2>{version.title || "Untitled"}</h2>
      {version.cells.length === 0 && <Notice tone="plain" title="This version has no cells." />}
      {version.cells.map((cell) => (
        <section key={cell.id} className="versions__cell" aria-label={`${cell.cellType} cell ${cell.id}`}>
          <header className="versions__head">
            <span className="tag">{cell.cellType}</span>
            <code>{cell.id}</code>
          </header>
          <TextDiff label={`${cell.cellType} cell ${cell.id}`} before={cellText(cell)} now={cellText(cell)} />
        </section>
      ))}
    </div>
  );
}
