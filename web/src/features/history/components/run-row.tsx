import { useState } from "react";
import type { Run } from "../../../gen/spinapis/audit/v1/audit_pb";
import { formatDuration, formatTime } from "../../../shared/clock";
import { Button, Loading, ProblemNotice, Status } from "../../../shared/ui";
import { useRunVerdict } from "../api/verify-run";
import { receiptState, runStatus, secretsRead } from "../model/run-text";
import { VerdictView } from "./verdict-view";

interface Props {
  workspaceId: string;
  run: Run;
  /** Who ran it, in words. */
  who: string;
}

export function RunRow({ workspaceId, run, who }: Props) {
  const [wanted, setWanted] = useState(false);
  const verdict = useRunVerdict(workspaceId, run, wanted);
  const [tone, text] = runStatus(run);
  const [receiptTone, receipts] = receiptState(run);
  const exposed = secretsRead(run);
  const took = Number(run.endedAtMs) - Number(run.startedAtMs);
  return (
    <li className="timeline__run" data-run={run.id}>
      <div className="row">
        <strong>{run.cellType || "cell"}</strong>
        <code className="list__detail">{run.cellId}</code>
        <Status tone={tone}>{text}</Status>
        <Status tone={receiptTone}>{receipts}</Status>
        {exposed > 0n && <Status tone="warn">{`Code read secrets' values ×${exposed}`}</Status>}
        {run.truncated && <Status tone="warn">Output truncated</Status>}
        <span style={{ flex: 1 }} />
        <Button
          small
          busy={verdict.isFetching}
          onClick={() => {
            if (wanted) void verdict.refetch();
            setWanted(true);
          }}
        >
          Verify
        </Button>
      </div>
      <span className="list__detail">
        {formatTime(run.startedAtMs || run.compiledAtMs)}
        {run.endedAtMs > 0n && run.startedAtMs > 0n && `, took ${formatDuration(took)}`}
        {who && `, by ${who}`}
      </span>
      {run.operations.length > 0 && (
        <span className="list__detail">
          Used {run.operations.map((operation) => `${operation.operation} ×${operation.count}`).join(", ")}
        </span>
      )}
      {verdict.isLoading && <Loading what="the proof" />}
      {verdict.isError && <ProblemNotice error={verdict.error} onRetry={() => void verdict.refetch()} />}
      {verdict.data && <VerdictView verdict={verdict.data} />}
    </li>
  );
}
