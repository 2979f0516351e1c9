import { useId, useRef, useState } from "react";
import type { Approval } from "../../../gen/spinapis/auth/v1/approvals_pb";
import { Button, ProblemNotice, SelectField, TextField } from "../../../shared/ui";
import { useStanding } from "../../members";
import { useDecideApproval } from "../api/decide-approval";
import { LIVES, lifeMs, whyNotDecide } from "../model/approval-text";
import { TakeBack } from "./approval-notice";

export function DecisionForm({ approval }: { approval: Approval }) {
  const { userId, refusal } = useStanding(approval.workspaceId);
  const [note, setNote] = useState("");
  const [life, setLife] = useState("15");
  const decide = useDecideApproval(approval);
  const reasonId = useId();
  const whyNot = whyNotDecide(approval, userId, refusal("approval.decide"));
  const own = userId === approval.requestedBy;
  // The second half of a double click comes before the button is drawn busy.
  const decided = useRef(false);
  const press = (approve: boolean) => () => {
    if (decided.current) return;
    decided.current = true;
    const decision = { approve, note: note.trim(), validMs: approve ? lifeMs(life) : 0n };
    decide.mutate(decision, {
      onError: () => {
        decided.current = false;
      },
    });
  };
  return (
    <div className="stack">
      {whyNot === undefined && (
        <div className="approval__form">
          <TextField
            label="Note"
            hint="Who asked sees it, and the log keeps it."
            maxLength={1000}
            value={note}
            onChange={setNote}
          />
          <SelectField
            label="May be used for"
            hint="One run within that time."
            value={life}
            options={LIVES}
            onChange={setLife}
          />
        </div>
      )}
      {decide.isError && <ProblemNotice error={decide.error} />}
      <div className="row">
        <Button
          look="primary"
          aria-describedby={reasonId}
          busy={decide.isPending}
          whyNot={whyNot}
          onClick={press(true)}
        >
          Approve
        </Button>
        <Button
          look="danger"
          aria-describedby={reasonId}
          busy={decide.isPending}
          whyNot={whyNot}
          onClick={press(false)}
        >
          Refuse
        </Button>
        {own && <TakeBack approval={approval} />}
        <span id={reasonId} className="list__detail">
          {whyNot}
        </span>
      </div>
    </div>
  );
}
