import { ErrorReason } from "../../../gen/spinapis/errors/v1/reasons_pb";
import { ProblemText } from "../../../shared/ui";
import { ApprovalNotice } from "../../approvals";
import type { RunView, Submission } from "../../session";
import type { CellState } from "../model/cell-state";
import type { CellProps } from "./cell-frame";

interface Props extends CellProps {
  state: CellState;
  submission: Submission | undefined;
  run: RunView | undefined;
}

/** Why a cell did not run, or was stopped, and what can be done about it. */
export function CellRunNote({ state, submission, run, cell, session, store, editor }: Props) {
  if (submission?.phase === "refused") {
    const { problem } = submission;
    return (
      <div className="cell__note">
        {problem.reason === ErrorReason.APPROVAL_REQUIRED && session ? (
          <ApprovalNotice
            workspaceId={session.identity.workspaceId}
            problem={problem}
            wanted={async () => {
              await store.flush();
              const { workspaceId, notebookId, sessionId } = session.identity;
              const { id: cellId, cellType, source, fieldsJson } = cell;
              const kernelLanguage = session.view.stream.kernel.language;
              return {
                workspaceId,
                notebookId,
                sessionId,
                cellId,
                kernelLanguage,
                cell: { cellType, source, fieldsJson },
              };
            }}
            onRun={() => {
              editor.run(cell.id);
            }}
          />
        ) : (
          <ProblemText problem={problem} />
        )}
      </div>
    );
  }
  const message = state.name === "failed" || state.name === "refused" ? run?.message : "";
  return message ? <div className="cell__note cell__note--plain">{message}</div> : null;
}
