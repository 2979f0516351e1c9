import { ProblemText } from "../../../shared/ui";
import type { RunView, Submission } from "../../session";
import type { CellState } from "../model/cell-state";

interface Props {
  state: CellState;
  submission: Submission | undefined;
  run: RunView | undefined;
}

/** Why a cell did not run, or was stopped. */
export function CellRunNote({ state, submission, run }: Props) {
  if (submission?.phase === "refused") {
    return (
      <div className="cell__note">
        <ProblemText problem={submission.problem} />
      </div>
    );
  }
  const message = state.name === "failed" || state.name === "refused" ? run?.message : "";
  return message ? <div className="cell__note cell__note--plain">{message}</div> : null;
}
