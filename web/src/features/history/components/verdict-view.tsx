import { formatTime } from "../../../shared/clock";
import { Notice } from "../../../shared/ui";
import type { OutputsVerdict } from "../api/verify-outputs";
import type { Verdict } from "../api/verify-run";

/** What this browser found out about a run by itself. */
export function VerdictView({ verdict }: { verdict: Verdict }) {
  const sound = verdict.included && verdict.outputs.kind !== "different";
  return (
    <Notice tone={sound ? "ok" : "bad"} title={sound ? "Verified in this browser" : "Does not verify"}>
      {verdict.fault && <span>{verdict.fault}</span>}
      {verdict.included && <span>{outputsText(verdict.outputs)}</span>}
      <dl className="proof">
        <div className="proof__entry">
          <dt>Tree size</dt>
          <dd>{verdict.treeSize}</dd>
        </div>
        <div className="proof__entry">
          <dt>Root hash</dt>
          <dd>
            <code>{verdict.rootHash}</code>
          </dd>
        </div>
        {verdict.entries.map((entry) => (
          <div key={String(entry.index)} className="proof__entry">
            <dt>Entry {String(entry.index)}</dt>
            <dd>
              {entry.type}, {formatTime(entry.timeMs)}
            </dd>
          </div>
        ))}
      </dl>
    </Notice>
  );
}

function outputsText(outputs: OutputsVerdict): string {
  switch (outputs.kind) {
    case "verified":
      return `All entries are in the signed log, and all ${outputs.frames} outputs hash to what the runtime signed.`;
    case "unfinished":
      return "All entries are in the signed log. The receipt of the run’s end is not there yet.";
    case "missing":
      return "All entries are in the signed log. Some outputs have not been uploaded, so they cannot be compared.";
    case "expired":
      return "All entries are in the signed log. The outputs were removed by retention; the receipts stay.";
    case "different":
      return "The outputs in the history are not the ones that the runtime signed.";
    case "unchecked":
      return "The outputs were not compared.";
  }
}
