import { type ReactNode, useState } from "react";
import { type Approval, ApprovalState } from "../../../gen/spinapis/auth/v1/approvals_pb";
import type { Problem } from "../../../shared/api/problem";
import { formatTime } from "../../../shared/clock";
import { Button, Notice, ProblemNotice, TextField } from "../../../shared/ui";
import { usePersonEmail } from "../../members";
import { useApproval } from "../api/get-approval";
import { useCancelApproval } from "../api/cancel-approval";
import { type Wanted, useRequestApproval } from "../api/request-approval";
import "./approvals.css";

interface Props {
  workspaceId: string;
  /** The refusal of the run. It names the request that waits already, if one does. */
  problem: Problem;
  /** The cell as it is now, saved. */
  wanted: () => Promise<Wanted>;
  onRun: () => void;
}

/** At a cell that runs only when somebody else has approved it: asking, waiting, and what was decided. */
export function ApprovalNotice({ workspaceId, problem, wanted, onRun }: Props) {
  const [asked, setAsked] = useState<{ problem: Problem; id: string }>();
  // One approval is one run: a second click would only be refused, and hide what came of the first.
  const [ranAfter, setRanAfter] = useState<Problem>();
  // Another refusal is of another run: what was asked for before it is over.
  const id = asked?.problem === problem ? asked.id : (problem.metadata.approval_id ?? "");
  const approval = useApproval(workspaceId, id);
  const form = (
    <AskForm
      workspaceId={workspaceId}
      wanted={wanted}
      onAsked={(next) => {
        setAsked({ problem, id: next });
      }}
    />
  );
  if (id === "") {
    return (
      <Notice tone="plain" title="Somebody else has to approve this run">
        {form}
      </Notice>
    );
  }
  if (approval.isError) return <ProblemNotice error={approval.error} onRetry={() => void approval.refetch()} />;
  if (!approval.data) return <Notice tone="plain" title="Waiting for approval" />;
  const run = (): void => {
    setRanAfter(problem);
    onRun();
  };
  return <Asked approval={approval.data} form={form} running={ranAfter === problem} onRun={run} />;
}

function AskForm({
  workspaceId,
  wanted,
  onAsked,
}: Pick<Props, "workspaceId" | "wanted"> & { onAsked: (id: string) => void }) {
  const [note, setNote] = useState("");
  const request = useRequestApproval(workspaceId);
  return (
    <form
      className="approval__ask"
      onSubmit={(event) => {
        event.preventDefault();
        request.mutate(
          { wanted: wanted(), note: note.trim() },
          {
            onSuccess: (made) => {
              if (made) onAsked(made.id);
            },
          },
        );
      }}
    >
      <TextField
        label="Note"
        hint="Why; whoever decides sees it, and the log keeps it."
        maxLength={1000}
        value={note}
        onChange={setNote}
      />
      {request.isError && <ProblemNotice error={request.error} />}
      <div className="row">
        <Button small look="primary" type="submit" busy={request.isPending}>
          Ask for approval
        </Button>
      </div>
    </form>
  );
}

interface AskedProps {
  approval: Approval;
  form: ReactNode;
  running: boolean;
  onRun: () => void;
}

function Asked({ approval, form, running, onRun }: AskedProps) {
  const emailOf = usePersonEmail(approval.workspaceId);
  const by = emailOf(approval.decidedBy);
  switch (approval.state) {
    case ApprovalState.PENDING: {
      const deciders = approval.approverIds.map(emailOf).join(", ");
      return (
        <Notice tone="plain" title="Waiting for approval" actions={<TakeBack approval={approval} />}>
          <span>{deciders ? `May decide: ${deciders}` : "Nobody may decide yet: add an owner or editor."}</span>
        </Notice>
      );
    }
    case ApprovalState.APPROVED:
      return (
        <Notice
          tone="ok"
          title={`Approved by ${by} until ${formatTime(approval.expiresAtMs)}`}
          actions={
            <Button small look="primary" busy={running} onClick={onRun}>
              Run
            </Button>
          }
        >
          <span>{approval.decisionNote || "For one run of the cell as it was when you asked."}</span>
        </Notice>
      );
    case ApprovalState.REFUSED:
      return (
        <Notice tone="warn" title={`Refused by ${by}${approval.decisionNote ? `: ${approval.decisionNote}` : ""}`}>
          {form}
        </Notice>
      );
    case ApprovalState.CANCELLED:
      return (
        <Notice tone="plain" title="The request was taken back">
          {form}
        </Notice>
      );
    case ApprovalState.USED:
      return (
        <Notice tone="plain" title="The approval was used: it was for one run">
          {form}
        </Notice>
      );
    case ApprovalState.EXPIRED:
    case ApprovalState.UNSPECIFIED:
      return (
        <Notice tone="plain" title="The time for it is over">
          {form}
        </Notice>
      );
  }
}

export function TakeBack({ approval }: { approval: Approval }) {
  const cancel = useCancelApproval(approval.workspaceId);
  return (
    <>
      <Button
        small
        busy={cancel.isPending}
        onClick={() => {
          cancel.mutate(approval.id);
        }}
      >
        Take the request back
      </Button>
      {cancel.isError && <ProblemNotice error={cancel.error} />}
    </>
  );
}
