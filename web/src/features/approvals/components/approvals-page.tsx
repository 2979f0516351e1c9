import { ApprovalState } from "../../../gen/spinapis/auth/v1/approvals_pb";
import type { Approval } from "../../../gen/spinapis/auth/v1/approvals_pb";
import type { PagedList } from "../../../shared/api/pages";
import { Button, Empty, Loading, ProblemNotice } from "../../../shared/ui";
import { useApprovals } from "../api/list-approvals";
import { ApprovalCard } from "./approval-card";
import "./approvals.css";

/** Requests for approval: those that wait for somebody first. */
export function ApprovalsPage({ workspaceId }: { workspaceId: string }) {
  const pending = useApprovals(workspaceId, ApprovalState.PENDING);
  const all = useApprovals(workspaceId, ApprovalState.UNSPECIFIED);
  if (pending.loading || all.loading) return <Loading what="approvals" />;
  const decided = all.items.filter((approval) => approval.state !== ApprovalState.PENDING);
  return (
    <div className="stack">
      <h1>Approvals</h1>
      {pending.error && <ProblemNotice error={pending.error} onRetry={pending.again} />}
      {pending.items.length === 0 && !pending.error && (
        <Empty title="Nobody waits for an approval">
          A connection can have operations that need a second person’s approval for each run: whoever runs such a cell
          asks for it there, and it shows here.
        </Empty>
      )}
      <Part label="Waiting" list={pending} shown={pending.items} />
      {(decided.length > 0 || all.error) && <h2>Before</h2>}
      {all.error && <ProblemNotice error={all.error} onRetry={all.again} />}
      <Part label="Before" list={all} shown={decided} />
    </div>
  );
}

function Part({ label, list, shown }: { label: string; list: PagedList<Approval>; shown: readonly Approval[] }) {
  return (
    <>
      {shown.length > 0 && (
        <ul className="approvals" aria-label={label}>
          {shown.map((approval) => (
            <ApprovalCard key={approval.id} approval={approval} />
          ))}
        </ul>
      )}
      {list.more && (
        <Button busy={list.loadingMore} onClick={list.more}>
          Show more
        </Button>
      )}
    </>
  );
}
