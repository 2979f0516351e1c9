import { Link } from "wouter";
import { Button, Empty, Loading, ProblemNotice } from "../../../shared/ui";
import { useMembers } from "../../members";
import { useRuns } from "../api/list-runs";
import { RunRow } from "./run-row";
import "./history.css";

export function SessionHistoryPage({ workspaceId, sessionId }: { workspaceId: string; sessionId: string }) {
  const runs = useRuns(workspaceId, sessionId);
  const members = useMembers(workspaceId);
  const nameOf = (userId: string): string => {
    const member = members.items.find((candidate) => candidate.userId === userId);
    return member ? member.displayName || member.email : userId;
  };
  if (runs.loading) return <Loading what="the session’s runs" />;
  return (
    <div className="stack">
      <div className="page-head">
        <h1>Session</h1>
        <Link href={`/w/${workspaceId}/history`}>All sessions</Link>
      </div>
      <p className="list__detail">
        Every run leaves a signed program and the runtime’s signed receipts in the audit log. “Verify” checks them in
        this browser: the log’s checkpoint signature, each entry’s place in its Merkle tree, the runtime’s signatures
        and the hash of every output.
      </p>
      {runs.error && <ProblemNotice error={runs.error} onRetry={runs.again} />}
      {runs.items.length === 0 && !runs.error && (
        <Empty title="Nothing has run in this session">Run a cell in its notebook.</Empty>
      )}
      <ol className="timeline">
        {runs.items.map((run) => (
          <RunRow key={run.id} workspaceId={workspaceId} run={run} who={nameOf(run.userId)} />
        ))}
      </ol>
      {runs.more && (
        <Button busy={runs.loadingMore} onClick={runs.more}>
          Show more
        </Button>
      )}
    </div>
  );
}
